"""config.toml is the documentation of the settings: every key, its variable, its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from adctl.config import Settings

FILE = (Path(__file__).parents[3] / "config.toml").read_text()


def default_settings() -> dict[str, object]:
    """Return every key, dotted, with its default as TOML would write it."""
    found: dict[str, object] = {}
    for name, field in Settings.model_fields.items():
        found |= leaves(name, field.default)
    return found


def leaves(key: str, value: object) -> dict[str, object]:
    if not isinstance(value, (BaseModel, dict)):
        return {key: plain(value)}
    found: dict[str, object] = {}
    for name, below in value.items() if isinstance(value, dict) else value:
        found |= leaves(f"{key}.{name}", below)
    return found


def plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return list(value)
    return "" if value == Path() else value


def written_settings(table: dict[str, object], above: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= written_settings(value, f"{above}{name}.")
        else:
            found[above + name] = value
    return found


def comments() -> dict[str, str]:
    """Return the comment over each key; keys that follow one another share theirs."""
    found: dict[str, str] = {}
    section, comment, fresh = "", "", True
    for line in FILE.splitlines():
        if table := re.fullmatch(r"\[([\w.-]+)\]", line):
            section = f"{table[1]}."
            # What stands over a table speaks of its keys too.
            fresh = False
        elif line.startswith("#"):
            comment = line if fresh else f"{comment}\n{line}"
            fresh = False
        elif key := re.match(r"(\w+) =", line):
            found[section + key[1]] = comment
            fresh = True
        elif not line:
            fresh = True
    return found


def variable(key: str) -> str:
    parts = key.split(".")
    return "ADCTL_" + "_".join(parts if len(parts) <= 2 else parts[:-2]).upper()


def test_the_file_has_every_key_and_no_other() -> None:
    assert written_settings(tomllib.loads(FILE)).keys() == default_settings().keys()


@pytest.mark.parametrize("key", default_settings())
def test_what_the_file_says_is_the_default(key: str) -> None:
    assert written_settings(tomllib.loads(FILE))[key] == default_settings()[key]


@pytest.mark.parametrize("key", default_settings())
def test_every_key_has_a_comment_with_its_variable(key: str) -> None:
    assert re.search(rf"\b{variable(key)}\b", comments()[key])
    assert len(comments()[key].split()) > 5
