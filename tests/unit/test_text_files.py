from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pytest

from adctl.config import load_settings
from adctl.config_sources import settings_in_force
from adctl.control.creative_input import load_markup_file
from adctl.control.load_plan import read_bodies
from adctl.control.table_file import load_table_file
from adctl.errors import ConfigError
from adctl.openrtb import decode_request
from adctl.stores.rates_file import read_rates
from adctl.text_files import decode_text

if TYPE_CHECKING:
    from pathlib import Path

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


def saved(text: str, encoding: str) -> bytes:
    """Return ``text`` as an editor saves it in this encoding."""
    return MARKS.get(encoding, b"") + text.encode(encoding)


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-32"])
def test_text_is_read_as_its_mark_says(encoding: str) -> None:
    assert decode_text(saved("müller\r\n", encoding)) == "müller\r\n"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_text("müller".encode("latin-1"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_file_that_is_named_may_have_a_mark(tmp_path: Path, encoding: str) -> None:
    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_bytes(saved(text.replace("\n", "\r\n"), encoding))
        return path

    targeting = '# as Windows saves it\ncountries = ["USA"]\n'
    table = {"countries": ["USA"]}
    assert load_table_file(file("t.toml", targeting), "--targeting", "targeting") == table
    told = file("t.json", '{"countries":\n["USA"]}')
    assert load_table_file(told, "--targeting", "targeting") == table
    assert load_markup_file(file("m.html", "<p>\nü</p>")) == "<p>\nü</p>"
    assert len(read_rates(file("r.toml", 'EUR = "1.1"\nUSD = "1"\n'), "USD")) == 2
    config = file("c.toml", "[bidder]\nmax_candidates = 7\n")
    settings = load_settings(config)
    assert settings.bidder.max_candidates == 7
    sources = {one.key: one.source for one in settings_in_force(settings, config)}
    assert sources["bidder.max_candidates"] == str(config)


def test_a_configuration_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes("# für\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"c\.toml"):
        load_settings(path)


def test_a_bid_request_may_have_a_mark(tmp_path: Path) -> None:
    body = b'{"id":"r","imp":[{"id":"1"}]}'
    assert decode_request(codecs.BOM_UTF8 + body).id == "r"
    path = tmp_path / "requests.jsonl"
    path.write_bytes(codecs.BOM_UTF8 + body + b"\n" + body + b"\n")
    assert read_bodies(path) == [body, body]
