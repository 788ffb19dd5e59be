"""A secret of the test's own in every secret setting there is, found by walking Settings."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic.fields import FieldInfo

from adctl.config import Settings
from adctl.config_faults import faults_of, is_secret, section_of
from adctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

Path = tuple[str, ...]


class Planted(NamedTuple):
    """Settings with a secret wherever one can stand, and the words that must not be seen."""

    tables: dict[str, Any]
    words: frozenset[str]


class Leaf(NamedTuple):
    """One key: where it stands, and its field."""

    path: Path
    field: FieldInfo


def leaves(model: type[BaseModel] = Settings, above: Path = ()) -> Iterator[Leaf]:
    """Every key there is; in a table of tables, those of one named ``default`` or ``wins``."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is None:
            yield Leaf((*above, name), field)
        elif field.annotation is section:
            yield from leaves(section, (*above, name))
        else:
            table = "wins" if name == "topics" else "default"
            yield from leaves(section, (*above, name, table))


def secret_leaves() -> list[Leaf]:
    return [leaf for leaf in leaves() if is_secret(leaf.field)]


def plant() -> Planted:
    """Return settings that are valid. A secret key of a form of its own needs that form here."""
    tables: dict[str, Any] = {}
    words: set[str] = set()
    for leaf in secret_leaves():
        fitting = [form for form in _forms() if not told_of(put(tables, leaf.path, form[0]))]
        assert fitting, f"no form of a secret here fits {'.'.join(leaf.path)}"
        value, parts = fitting[0]
        tables = put(tables, leaf.path, value)
        words |= set(parts)
    return Planted(tables, frozenset(words))


def told_of(tables: dict[str, Any]) -> str:
    """What is said of these settings, in every way that it could come to be seen; "" if nothing."""
    try:
        Settings.model_validate(tables)
    except ValueError as exc:
        told = ConfigError("configuration", faults_of(exc, Settings))
        return f"{told}\n{told!r}\n{exc}\n{exc!r}"
    return ""


def seen(words: frozenset[str], text: str) -> list[str]:
    """The planted words that can be read in ``text``, whatever a table has broken them into."""
    whole = re.sub(r"[\s│|]+", "", text)
    return [word for word in words if word in text or word in whole]


def put(tables: dict[str, Any], path: Path, value: object) -> dict[str, Any]:
    """A copy of ``tables`` with ``value`` at ``path``."""
    key, *below = path
    inner = tables.get(key, {})
    if below:
        value = put(inner if isinstance(inner, dict) else {}, tuple(below), value)
    return {**tables, key: value}


def _forms() -> Iterator[tuple[str, tuple[str, ...]]]:
    word, key = f"s3cr3t{secrets.token_hex(5)}", secrets.token_hex(32)
    yield f"postgresql://me:{word}@h/x", (word,)
    yield f"redis://me:{word}@h:1/0", (word,)
    yield f"1:{key}", (key,)
    yield key, (key,)
    two = [b64encode(secrets.token_bytes(32)).decode() for _ in range(2)]
    yield ":".join(two), tuple(two)
    yield word, (word,)
