"""From a posted body to the fields of each event: what is wrong with one is no other's loss.

A body is taken apart item by item, and a long item field by field, so that a value nobody can read
costs that item, or that field, alone; and what nobody asked for is passed over rather than read,
however much of it there is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# An event with a token, an order and a user is a fifth of it. A longer one is read field by field.
_SHORT_BYTES = 4 << 10
_NAMES_BYTES = 1 << 10
_NAMED_BYTES = 100
# Unknown names that are told; of each, and of a value, no more than so many characters.
_TOLD_NAMES = 3
_TOLD_CHARACTERS = 32

_PARTS = msgspec.json.Decoder(list[msgspec.Raw])
_NOTHING = msgspec.Raw(b"")
_ONE = msgspec.json.Decoder(msgspec.Raw)
# Numbers stay as they were written: an amount never passes through a binary fraction.
_VALUE = msgspec.json.Decoder(float_hook=str)
_HALVES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises."""


def parts_of(body: bytes) -> Sequence[msgspec.Raw]:
    """Return what is in the array ``body``; or the body itself, if it is no array.

    Raises one of UNREADABLE for what is no JSON.
    """
    try:
        return _array_or_one(body)
    except msgspec.DecodeError:
        # Half a character, from a text that was cut in the middle of one: JSON all the same.
        whole = _HALVES.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
        if whole == body:
            raise
        return _array_or_one(whole)


def _array_or_one(body: bytes) -> Sequence[msgspec.Raw]:
    try:
        return _PARTS.decode(body)
    except msgspec.ValidationError:
        return [_ONE.decode(body)]


class Reader:
    """Reads objects of which some fields are known."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = frozenset(known)
        fields: list[tuple[str, Any, Any]] = [
            (name, msgspec.Raw, _NOTHING) for name in sorted(known)
        ]
        self._fields = msgspec.json.Decoder(msgspec.defstruct("Fields", fields))
        strict = msgspec.defstruct("Strict", fields, forbid_unknown_fields=True)
        self._strict = msgspec.json.Decoder(strict)

    def read(self, part: msgspec.Raw) -> tuple[Mapping[str, object] | None, str]:
        """Return the known fields of an object, and in words which unknown ones it has.

        A value that cannot be read is its ``Raw`` text. None for what is no object.
        """
        try:
            if memoryview(part).nbytes <= _SHORT_BYTES:
                fields = _VALUE.decode(part)
                if not isinstance(fields, dict):
                    return None, ""
                if fields.keys() <= self._known:
                    return fields, ""
                names = [name for name in fields if name not in self._known]
                return fields, _named(names)
        except UNREADABLE:
            pass
        return self._read_apart(part)

    def _read_apart(self, part: msgspec.Raw) -> tuple[Mapping[str, object] | None, str]:
        try:
            found = self._fields.decode(part)
        except UNREADABLE:
            return None, ""
        values = {name: getattr(found, name) for name in self._known}
        fields = {name: _value(raw) for name, raw in values.items() if raw is not _NOTHING}
        return fields, self._unknown_of_many(part)

    def _unknown_of_many(self, part: msgspec.Raw) -> str:
        try:
            self._strict.decode(part)
        except UNREADABLE as exc:
            names = self._first_unknown(bytes(memoryview(part)[:_NAMES_BYTES]))
            return _named(names, "and at least") if names else str(exc)[:_NAMED_BYTES]
        return ""

    def _first_unknown(self, head: bytes) -> list[str]:
        """Return unknown names of the object that begins with ``head``, if some can be read."""
        for _ in range(_TOLD_NAMES):
            # Cut behind a member it is an object again, unless that was within another one.
            head = head[: max(head.rfind(b","), 0)]
            try:
                return [name for name in _VALUE.decode(head + b"}") if name not in self._known]
            except UNREADABLE:
                continue
        return []


def beginning(value: object) -> str:
    """Return the beginning of a value as people are told it."""
    if isinstance(value, str):
        return value[:_TOLD_CHARACTERS]
    raw = memoryview(value if isinstance(value, msgspec.Raw) else msgspec.json.encode(value))
    return str(raw[:_TOLD_CHARACTERS], "utf-8", "ignore")


def _value(raw: msgspec.Raw) -> object:
    """Return a text, a number, a truth or nothing; anything else stays as it was written."""
    if bytes(memoryview(raw)[:1]) in (b"{", b"["):
        return raw
    try:
        return _VALUE.decode(raw)
    except UNREADABLE:
        return raw


def _named(names: Sequence[str], and_: str = "and") -> str:
    told = ", ".join([name[:_TOLD_CHARACTERS] for name in names[:_TOLD_NAMES]])
    more = len(names) - _TOLD_NAMES
    return f"{told} {and_} {more:,} more" if more > 0 else told
