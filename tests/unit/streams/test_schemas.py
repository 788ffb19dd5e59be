"""Every message has its schema in docs/schemas, and no version breaks the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from adctl.config_topics import COMPACTED, TOPIC_DEFAULTS
from adctl.streams import schemas, topics
from adctl.streams.schemas import VERSIONS, breaking_changes, file_name, schema_text

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"

OLD: dict[str, Any] = {
    "$ref": "#/$defs/M",
    "$defs": {
        "Kind": {"title": "Kind", "enum": ["a", "b"]},
        "M": {
            "title": "M",
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "count": {"type": "integer", "default": 0},
                "kind": {"$ref": "#/$defs/Kind"},
                "at": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                "of": {"type": "array", "items": {"$ref": "#/$defs/Kind"}, "default": []},
            },
            "required": ["id", "kind"],
        },
    },
}


def changed(**fields: object) -> dict[str, Any]:
    """Return OLD with fields of M set, or without those that are None."""
    new = msgspec.json.decode(msgspec.json.encode(OLD))
    properties = new["$defs"]["M"]["properties"]
    for name, field in fields.items():
        if field is None:
            del properties[name]
        else:
            properties[name] = field
    return new


def stored(message: type[msgspec.Struct], version: int) -> dict[str, Any]:
    return msgspec.json.decode((FOLDER / file_name(message, version)).read_bytes())


@pytest.mark.parametrize("message", VERSIONS, ids=lambda message: message.__name__)
def test_the_schema_stored_is_the_message_s(message: type[msgspec.Struct]) -> None:
    text = (FOLDER / file_name(message, VERSIONS[message])).read_text()
    assert text == schema_text(message), (
        "the message has changed: raise its number in adctl/streams/schemas.py (not for a change "
        "of descriptions alone), and run `make schemas`"
    )


@pytest.mark.parametrize("message", VERSIONS, ids=lambda message: message.__name__)
def test_no_version_breaks_an_earlier_one(message: type[msgspec.Struct]) -> None:
    of_today = msgspec.json.decode(schema_text(message))
    for version in range(1, VERSIONS[message]):
        assert breaking_changes(stored(message, version), of_today) == []


def test_there_is_a_file_for_every_version_and_no_other() -> None:
    versions = {file_name(m, n) for m, last in VERSIONS.items() for n in range(1, last + 1)}
    assert {file.name for file in FOLDER.glob("*.json")} == versions


def test_a_field_with_a_default_may_be_added() -> None:
    assert breaking_changes(OLD, changed(more={"type": "string", "default": ""})) == []


def test_a_word_may_be_added() -> None:
    new = changed()
    new["$defs"]["Kind"]["enum"].append("c")
    assert breaking_changes(OLD, new) == []


def test_a_field_that_goes_breaks() -> None:
    assert breaking_changes(OLD, changed(count=None)) == ["count: is gone"]


def test_a_type_that_changes_breaks() -> None:
    (told,) = breaking_changes(OLD, changed(count={"type": "string", "default": 0}))
    assert told == "count: was integer, is string"


def test_a_null_that_is_no_longer_allowed_breaks() -> None:
    (told,) = breaking_changes(OLD, changed(at={"type": "integer", "default": None}))
    assert told == "at: was integer or null, is integer"


def test_a_type_that_changes_inside_a_list_breaks() -> None:
    of = {"type": "array", "items": {"type": "integer"}, "default": []}
    assert breaking_changes(OLD, changed(of=of)) == ["of[]: was Kind, is integer"]


def test_a_default_that_changes_breaks() -> None:
    (told,) = breaking_changes(OLD, changed(count={"type": "integer", "default": 1}))
    assert told == "count: default was 0, is 1"


def test_a_field_that_is_required_from_now_on_breaks() -> None:
    new = changed(more={"type": "string"})
    new["$defs"]["M"]["required"].append("more")
    assert breaking_changes(OLD, new) == ["more: is required now"]


def test_a_field_that_may_be_left_out_from_now_on_breaks() -> None:
    new = changed()
    new["$defs"]["M"]["required"].remove("id")
    (told,) = breaking_changes(OLD, new)
    assert told.startswith("id: is no longer required")


def test_a_word_that_goes_breaks() -> None:
    new = changed()
    new["$defs"]["Kind"]["enum"].remove("b")
    assert breaking_changes(OLD, new) == ["kind: no longer b"]


def test_missing_files_are_written_and_others_left_alone(tmp_path: Path) -> None:
    assert len(schemas.write_schemas(tmp_path)) == len(VERSIONS)
    other = tmp_path / "Event.v1.json"
    other.write_text("{}")
    described = tmp_path / "Decision.v2.json"
    described.write_text(described.read_text().replace("The record of", "What became of"))
    assert schemas.write_schemas(tmp_path) == ["Decision.v2.json"]
    assert other.read_text() == "{}"


def test_every_topic_can_be_configured() -> None:
    assert set(TOPIC_DEFAULTS) == set(topics.ALL)
    assert {name for name, topic in topics.OF_NAME.items() if topic.compacted} == {COMPACTED}


def test_the_page_names_every_topic_with_its_key_and_schema() -> None:
    page = (FOLDER / "README.md").read_text()
    for name, topic in topics.OF_NAME.items():
        schema = file_name(topic.message, VERSIONS[topic.message])
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert row.endswith(f"| {topic.key} | [`{schema}`]({schema}) |")
