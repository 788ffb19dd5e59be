"""The schema of every message, its version, and which changes of it are allowed.

docs/schemas has one file for each version ever used. A version once used never changes, and the
next one must be readable by whoever knows the last: see ``breaking_changes``.
"""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.alarms import Alarm
from adctl.decisions import Decision
from adctl.models import CampaignChange, DeadLetter, Event
from adctl.streams import topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Schema = Mapping[str, Any]

VERSION_HEADER = "schema_version"

# Raise a number with every change of the message or of what is in it; `make schemas` then writes
# the new version's file.
VERSIONS: Mapping[type[msgspec.Struct], int] = {
    Decision: 2,
    Event: 2,
    CampaignChange: 2,
    Alarm: 2,
    DeadLetter: 2,
}

# By topic, as the header of its messages has it.
HEADER_VALUES = {
    name: str(VERSIONS[topic.message]).encode() for name, topic in topics.OF_NAME.items()
}


def version_of(topic: str) -> int:
    """Return the version of the messages this program writes to, and knows of, ``topic``."""
    return VERSIONS[topics.OF_NAME[topic].message]


def file_name(message: type[msgspec.Struct], version: int) -> str:
    """Return the name of a version's file in docs/schemas."""
    return f"{message.__name__}.v{version}.json"


def schema_text(message: type[msgspec.Struct]) -> str:
    """Return the message's JSON Schema (2020-12) of today, as its file holds it."""
    schema = _tidied(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "x-version": VERSIONS[message],
            "x-topics": [
                name for name, topic in topics.OF_NAME.items() if topic.message is message
            ],
            **msgspec.json.schema(message),
        }
    )
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def write_schemas(folder: Path) -> list[str]:
    """Write the files of today's versions that are missing in ``folder``; return their names.

    One that is there is written again only where nothing but its descriptions is different.
    """
    written = []
    for message, version in VERSIONS.items():
        file, text = folder / file_name(message, version), schema_text(message)
        if not file.exists() or (
            file.read_text() != text and _form(file.read_text()) == _form(text)
        ):
            file.write_text(text)
            written.append(file.name)
    return written


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """Return what keeps messages of either schema from those who know the other; [] if nothing.

    A field may be added if it need not be there, and a word to an enumeration. No field may go, no
    type or default may change, no word may go, and no field may be required that was not.
    """
    return list(_compare(_Schemas(old, new), old, new, ""))


class _Schemas:
    """Two schemas, each with its definitions."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old, self.new = old.get("$defs", {}), new.get("$defs", {})
        self.compared: set[tuple[str, str]] = set()


def _compare(both: _Schemas, old: Schema, new: Schema, at: str) -> Iterator[str]:
    pair = (old.get("$ref", ""), new.get("$ref", ""))
    if all(pair):
        if pair in both.compared:
            return
        both.compared.add(pair)
    old, new = _resolve(old, both.old), _resolve(new, both.new)
    if "anyOf" in old or "anyOf" in new:
        yield from _compare_choices(both, old, new, at)
        return
    if old.get("type") != new.get("type"):
        yield f"{at or 'the message'}: was {_named(old)}, is {_named(new)}"
        return
    if "enum" in new and (gone := _missing(old.get("enum"), new["enum"])):
        yield f"{at}: no longer {gone}"
    yield from _compare_bounds(old, new, at)
    yield from _compare_fields(both, old, new, at)
    for inner in ("items", "additionalProperties"):
        if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
            yield from _compare(both, old[inner], new[inner], f"{at}[]")


def _compare_fields(both: _Schemas, old: Schema, new: Schema, at: str) -> Iterator[str]:
    was, now = old.get("properties", {}), new.get("properties", {})
    for name, field in was.items():
        path = f"{at}.{name}".lstrip(".")
        if name in now:
            if "default" in field and field["default"] != now[name].get("default"):
                # It is what a reader takes for a field that is left out.
                yield f"{path}: default was {field['default']}, is {now[name].get('default')}"
            yield from _compare(both, field, now[name], path)
        else:
            yield f"{path}: is gone"
    for name in sorted({*new.get("required", ())} - {*old.get("required", ())}):
        yield f"{at}.{name}".lstrip(".") + ": is required now"
    for name in sorted(({*old.get("required", ())} - {*new.get("required", ())}) & now.keys()):
        yield f"{at}.{name}".lstrip(".") + ": is no longer required, old readers need it"


def _compare_choices(both: _Schemas, old: Schema, new: Schema, at: str) -> Iterator[str]:
    # Alternatives such as "an integer or null": by their type, of which each has another.
    was = {_named(_resolve(one, both.old)): one for one in old.get("anyOf", [old])}
    now = {_named(_resolve(one, both.new)): one for one in new.get("anyOf", [new])}
    if was.keys() != now.keys():
        yield f"{at}: was {' or '.join(was)}, is {' or '.join(now)}"
        return
    for name, one in was.items():
        yield from _compare(both, one, now[name], at)


def _compare_bounds(old: Schema, new: Schema, at: str) -> Iterator[str]:
    for name in ("format", "contentEncoding", "pattern", "minimum", "maximum", "minLength"):
        if old.get(name) != new.get(name):
            yield f"{at}: {name} was {old.get(name)}, is {new.get(name)}"


def _missing(old: Iterable[object] | None, new: Iterable[object]) -> str:
    if old is None:
        return "any value"
    gone = [word for word in old if word not in [*new]]
    return " or ".join(map(str, gone))


def _tidied(schema: Any) -> Any:
    """Return a schema with its texts unindented, and open to fields that are added later."""
    if isinstance(schema, list):
        return [_tidied(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: cleandoc(one) if name == "description" and isinstance(one, str) else _tidied(one)
        for name, one in schema.items()
        if (name, one) != ("additionalProperties", False)
    }


def _form(text: str) -> object:
    def without_texts(schema: Any) -> Any:
        if isinstance(schema, list):
            return [without_texts(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        return {
            name: without_texts(one)
            for name, one in schema.items()
            if not (name == "description" and isinstance(one, str))
        }

    return without_texts(msgspec.json.decode(text))


def _resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return _resolve(definitions[name], definitions) if name else schema


def _named(schema: Schema) -> str:
    return str(schema.get("title") or schema.get("type") or "anything")


def main() -> None:
    """Write the missing files of docs/schemas."""
    for name in write_schemas(Path(__file__).parents[2] / "docs" / "schemas"):
        print(name)  # noqa: T201 - a tool of the Makefile


if __name__ == "__main__":
    main()
