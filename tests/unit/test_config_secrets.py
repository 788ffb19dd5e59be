"""Nothing that is said of a faulty configuration holds a secret of it."""

from __future__ import annotations

import itertools
import json
import traceback
from typing import TYPE_CHECKING, Any, get_origin

import pytest
from typer.testing import CliRunner

from adctl.cli import root
from adctl.config import load_settings
from adctl.errors import ConfigError
from tests.planted_secrets import Leaf, leaves, plant, put, secret_leaves, seen, told_of

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = plant()
# What shows only when several keys are looked at: what has to be set, and the key that is named.
BETWEEN_KEYS: dict[str, tuple[dict[tuple[str, ...], Any], str]] = {
    "retention and token": ({("retention", "events_days"): 1}, "retention.events_days"),
    "retention and windows": (
        {("retention", "events_days"): 20, ("conversions", "view_window_sec"): 7_776_000},
        "retention.events_days",
    ),
    "encrypted without keys": (
        {("exchanges", "x", "price_encoding"): "encrypted"},
        "exchanges.x.price_keys",
    ),
    "preset without keys": ({("exchanges", "x", "preset"): "google"}, "exchanges.x.price_keys"),
    "nurl not asked for": (
        {("exchanges", "x", "billing_event"): "nurl", ("exchanges", "x", "win_notice"): False},
        "exchanges.x.win_notice",
    ),
    "burl not asked for": (
        {("exchanges", "x", "billing_event"): "burl", ("exchanges", "x", "billing_notice"): False},
        "exchanges.x.billing_notice",
    ),
    "compacted topic": ({("kafka", "topics", "campaigns", "retention_mb"): 1}, "kafka.topics"),
}


def wrong(leaf: Leaf) -> list[object]:
    """Values that are faults of the key, with a planted word in them where one fits."""
    word = min(PLANTED.words)
    if get_origin(leaf.field.annotation) is tuple:
        return [word, {"a": word}, [[word]]]
    return [[word], {"url": f"postgresql://me:{word}@h/x"}]


def test_there_are_secrets_to_plant() -> None:
    named = {".".join(leaf.path) for leaf in secret_leaves()}
    assert {"postgres.url", "redis.url", "signing.keys", "signing.user_key"} <= named
    assert "exchanges.default.price_keys" in named
    assert told_of(PLANTED.tables) == ""


@pytest.mark.parametrize("name", BETWEEN_KEYS)
def test_a_fault_between_keys_names_one_and_no_secret(name: str, tmp_path: Path) -> None:
    changes, key = BETWEEN_KEYS[name]
    tables = PLANTED.tables
    for path, value in changes.items():
        tables = put(tables, path, value)
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides=tables)
    assert [fault.field for fault in caught.value.faults] == [key]
    trace = "".join(traceback.format_exception(caught.value))
    assert seen(PLANTED.words, trace + told_of(tables)) == []


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: ".".join(leaf.path))
def test_no_pair_of_faults_shows_a_secret(leaf: Leaf) -> None:
    for value in wrong(leaf):
        told = told_of(put(PLANTED.tables, leaf.path, value))
        assert ".".join(leaf.path) in told
        assert seen(PLANTED.words, told) == []
    tables = put(PLANTED.tables, leaf.path, wrong(leaf)[0])
    for other in itertools.takewhile(lambda other: other.path != leaf.path, leaves()):
        told = told_of(put(tables, other.path, wrong(other)[-1]))
        assert ".".join(other.path) in told
        assert seen(PLANTED.words, told) == []


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BETWEEN_KEYS, 2)))
def test_no_two_faults_between_keys_show_a_secret(one: str, other: str) -> None:
    tables = PLANTED.tables
    for path, value in {**BETWEEN_KEYS[one][0], **BETWEEN_KEYS[other][0]}.items():
        tables = put(tables, path, value)
    told = told_of(tables)
    assert told
    assert seen(PLANTED.words, told) == []


@pytest.mark.parametrize("leaf", secret_leaves(), ids=lambda leaf: ".".join(leaf.path))
@pytest.mark.parametrize("where", ["misspelt", "section misspelt", "section as text"])
def test_a_secret_at_a_misspelt_key_is_not_shown(leaf: Leaf, where: str) -> None:
    word = "s3cr3t-key"
    *above, name = leaf.path
    path = {
        "misspelt": (*above, f"{name}s_"),
        "section misspelt": (f"{leaf.path[0]}x", *leaf.path[1:]),
        "section as text": tuple(above),
    }[where]
    told = told_of(put(PLANTED.tables, path, word))
    assert seen(PLANTED.words | {word}, told) == []
    assert path[0] in told


@pytest.mark.parametrize(
    "text",
    [
        "[postgres]\nurl = {value}\n",
        '[postgres]\nurl = "{value}\n',
        '[postgres]\nurl = "x"\nurl = "{value}"\n',
        "[{value}]\n",
        '"{value}"\n',
        'a."{value}" = 1\na."{value}" = 2\n',
        "['{value}'.x]\n['{value}'.x]\n",
        "a = {{ '{value}' = 1, '{value}' = 2 }}\n",
        '[exchanges."{value} x"]\n',
        '[kafka.topics."{value}"]\n',
        '[signing]\n"{value}" = 1\n',
        '[tracker]\npublic_url = "{value}/"\n',
        '[kafka]\nbootstrap = "{value}"\n',
        '[webhooks]\nnetworks = ["{value}"]\n',
        '[bidder]\nmax_cpm = "{value}"\n',
        'currency = "{value}"\n',
    ],
)
@pytest.mark.parametrize("form", ["postgresql://me:{}@h/x", "kafka://me:{}", "{}{}{}{}{}"])
def test_a_secret_where_the_file_breaks_is_not_shown(text: str, form: str, tmp_path: Path) -> None:
    word = "s3cr3tkey"
    file = tmp_path / "adctl.toml"
    file.write_text(text.format(value=form.format(*[word] * 5)))
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert word not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url", ["postgresql://me:{}%zz@h/x", "postgresql://me:12/{}@h/x", "redis://me:1?{}@h:1/0"]
)
def test_a_url_that_a_driver_would_quote_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = "POSTGRES" if url.startswith("postgres") else "REDIS"
    monkeypatch.setenv(f"ADCTL_{section}_URL", url.format("s3cr3t"))
    with pytest.raises(ConfigError, match="%XX") as caught:
        load_settings()
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("command", ["config show", "config check", "doctor", "db status"])
@pytest.mark.parametrize("name", BETWEEN_KEYS)
def test_no_command_shows_a_secret_at_its_start(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = PLANTED.tables
    for path, value in BETWEEN_KEYS[name][0].items():
        tables = put(tables, path, value)
    for section, table in tables.items():
        monkeypatch.setenv(f"ADCTL_{section.upper()}", json.dumps(table))
    monkeypatch.setenv("ADCTL_DEBUG", "1")
    result = CliRunner().invoke(root.app, command.split())
    assert result.exit_code in {4, 8}
    assert BETWEEN_KEYS[name][1].rpartition(".")[2] in result.output
    assert seen(PLANTED.words, result.output) == []


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_config_show_masks_every_secret(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for section, table in PLANTED.tables.items():
        monkeypatch.setenv(f"ADCTL_{section.upper()}", json.dumps(table))
    monkeypatch.setenv("ADCTL_POSTGRESS_URL", min(PLANTED.words))
    shown = CliRunner().invoke(root.app, ["config", "show", "--output", output])
    checked = CliRunner().invoke(root.app, ["config", "check"])
    assert (shown.exit_code, checked.exit_code) == (0, 0)
    assert seen(PLANTED.words, shown.output + checked.output) == []
    assert "ADCTL_POSTGRESS_URL" in checked.output
