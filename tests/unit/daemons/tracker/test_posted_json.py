from __future__ import annotations

import json
from itertools import islice, product
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING

import msgspec
import pytest

from daemons.tracker import posted_json
from daemons.tracker.posted_json import UNREADABLE, Reader, beginning, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

READER = Reader(("kind", "token", "price"))
LONG = b'"kind":"' + b"x" * 5000 + b'",'


def names(count: int) -> list[str]:
    return ["".join(name) for name in islice(product(ascii_lowercase + digits, repeat=4), count)]


def read(body: bytes) -> tuple[Mapping[str, object] | None, str]:
    [part] = parts_of(body)
    return READER.read(part)


def test_array_is_its_items_and_anything_else_is_one() -> None:
    assert [bytes(memoryview(part)) for part in parts_of(b'[1, {"a": [2]}]')] == [
        b"1",
        b'{"a": [2]}',
    ]
    assert [bytes(memoryview(part)) for part in parts_of(b'{"a": [2]}')] == [b'{"a": [2]}']
    assert parts_of(b"[]") == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"NaN", b"\xff", b"[" * 100_000, b"{} {}"])
def test_what_is_no_json_is_none(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        parts_of(body)


@pytest.mark.parametrize("item", [b"1", b"null", b'"x"', b"[]", b"9" * 5000, b'"\xff"'])
def test_what_is_no_object_has_no_fields(item: bytes) -> None:
    [part, other] = parts_of(b"[" + item + b',{"kind":"a"}]')
    assert READER.read(part) == (None, "")
    assert READER.read(other) == ({"kind": "a"}, "")


@pytest.mark.parametrize("value", [b"9" * 5000, b'"\xff"', b'["\xff"]'])
def test_value_that_cannot_be_read_is_lost_alone(value: bytes) -> None:
    fields, _ = read(b'{"kind":"a","price":' + value + b"}")
    assert fields is not None
    assert fields["kind"] == "a"
    assert isinstance(fields["price"], msgspec.Raw)


def test_half_a_character_is_a_character_that_is_not_known() -> None:
    for told in ("a\\ud83d", "a\\ude00", "\\ud83d\\ud83d\\ude00", "\\\\ud83d"):
        fields, _ = read(f'{{"kind":"{told}"}}'.encode())
        text = json.loads(f'"{told}"').encode("utf-16", "surrogatepass")
        assert fields == {"kind": text.decode("utf-16", "replace")}


@pytest.mark.parametrize("filling", [b"", LONG], ids=["short", "long"])
def test_fields_of_long_and_short_objects_are_read_alike(filling: bytes) -> None:
    body = b"{" + filling + b'"kind":"a","price":1.50,"token":null,"price":2.50,"x":1}'
    fields, unknown = read(body)
    assert fields is not None
    assert {name: fields[name] for name in ("kind", "price", "token")} == {
        "kind": "a",
        "price": "2.50",
        "token": None,
    }
    assert unknown.startswith("x") or "`x`" in unknown


def test_few_unknown_names_are_told_and_how_many_more_there_are() -> None:
    told = json.dumps(dict.fromkeys(["kind", "aa", "ab", "ac", "ad", "ae"], 0)).encode()
    assert read(told)[1] == "aa, ab, ac and 2 more"
    assert read(b'{"kind":"a","aa":1}')[1] == "aa"
    assert read(b'{"kind":"a"}')[1] == ""
    assert len(read(json.dumps({"x" * 3000: 1, "y" * 500: 1}).encode())[1]) < 100


def test_many_unknown_names_are_told_in_as_few_words_and_never_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = json.dumps({"kind": "a", **dict.fromkeys(names(60_000), 0), "token": "b"}).encode()
    read_bytes = []
    decode = posted_json._VALUE.decode

    class Counting:
        def decode(self, text: bytes) -> object:
            read_bytes.append(memoryview(text).nbytes)
            return decode(text)

    monkeypatch.setattr(posted_json, "_VALUE", Counting())
    fields, unknown = read(body)
    assert fields == {"kind": "a", "token": "b"}
    assert unknown.startswith("aaaa, aaab, aaac and at least ")
    assert len(unknown) < 100
    assert sum(read_bytes) < 10_000


def test_many_unknown_names_within_a_known_field_are_not_read() -> None:
    body = json.dumps({"kind": "a", "token": dict.fromkeys(names(5000), 0)}).encode()
    fields, unknown = read(body)
    assert fields is not None
    assert isinstance(fields["token"], msgspec.Raw)
    assert unknown == ""
    assert beginning(fields["token"]) == '{"aaaa": 0, "aaab": 0, "aaac": 0'


def test_unknown_name_far_behind_is_told() -> None:
    assert "later" in read(b'{"token":"' + b"x" * 5000 + b'","later":1}')[1]


def test_beginning_of_a_value_is_short() -> None:
    for value in ("x" * 100, ["x" * 100], 10**100, {"a": "é" * 100}):
        assert 0 < len(beginning(value)) <= 32
