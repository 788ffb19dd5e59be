"""Texts, numbers and flags, read from JSON of another type where it is plain what is meant.

A boolean is 0 or 1, a number may be written as a text or as 3.0, an id as a number, and a blank
text is nothing. No value costs more to read than a short one.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.openrtb.request import Exact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Read = Callable[[Any, "Found"], Any]

MAX_FAULTS = 1_000
"""Values of a message that may be unreadable before all of it is."""

READ = "read"
"""What is noted of an attribute that was read as what is plainly meant."""

LONGEST = 256
"""Characters of a text that may be something else than a text."""

_LONGEST_ID = 30
_LARGEST_ID = 10**_LONGEST_ID
_EXACT_IN_FLOAT = 2**53
_INTEGER = re.compile(r"-?\d{1,16}(?:\.0{1,9})?", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_FLAGS = {"true": 1, "false": 0}


class UnreadableError(Exception):
    """A value that cannot be read; ``noted`` once it is known which attribute has it."""

    noted = False


class TooManyFaultsError(ValueError):
    """More values cannot be read than there is time for."""


class Found(dict[str, str]):
    """What was amiss in a message: attributes, by their dotted names, and what became of each."""

    faults = 0

    def count_fault(self) -> None:
        """Count a value that could not be read. Raises TooManyFaultsError after ``MAX_FAULTS``."""
        self.faults += 1
        if self.faults > MAX_FAULTS:
            raise TooManyFaultsError(f"more than {MAX_FAULTS:,} values that cannot be read")


def note(found: Found, path: str) -> None:
    """Note that an attribute was read otherwise than it was written, unless worse is known."""
    found.setdefault(path, READ)


def is_blank(value: object) -> bool:
    """Return whether ``value`` is a text with nothing in it."""
    return type(value) is str and len(value) <= LONGEST and not value.strip()


def scalar_reading(kinds: Collection[msgspec.inspect.Type], path: str) -> Read:
    """Return what reads an attribute that may be of these types.

    It takes a value and where to note what was amiss, and raises UnreadableError. Raises KeyError
    for types that no attribute has.
    """
    natural, unremarkable, read = _READERS[frozenset(map(type, kinds))]

    def reading(value: Any, found: Found) -> Any:
        kind = type(value)
        if kind in natural:
            return value
        told = read(value)
        if kind not in unremarkable:
            note(found, path)
        return told

    return reading


def _text(value: Any) -> str:
    if type(value) is int and abs(value) < _LARGEST_ID:
        return str(value)
    if type(value) is Exact and value.is_finite() and abs(value.adjusted()) < _LONGEST_ID:
        text = str(int(value) if value == value.to_integral_value() else value)
        if len(text) <= LONGEST:
            return text
    raise UnreadableError


def _integer(value: Any) -> int | None:
    if type(value) is Exact:
        if value.is_finite() and value.adjusted() < 16 and value == int(value):
            return int(value)
    elif type(value) is str and len(value) <= LONGEST:
        text = value.strip()
        if not text:
            return None
        if _INTEGER.fullmatch(text):
            return int(text.partition(".")[0])
    raise UnreadableError


def _flag(value: Any) -> int | None:
    if type(value) is bool:
        return int(value)
    if type(value) is str and len(value) <= LONGEST:
        told = _FLAGS.get(value.strip().lower())
        if told is not None:
            return told
    return _integer(value)


def _exact(value: Any) -> Exact | None:
    if type(value) is int:
        return Exact(value)
    if type(value) is not str or len(value) > LONGEST:
        raise UnreadableError
    text = value.strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise UnreadableError
    return Exact(text)


def _number(value: Any) -> float | None:
    exact = value if type(value) is Exact else _exact(value)
    if exact is None:
        return None
    number = float(exact)
    if not math.isfinite(number):
        raise UnreadableError
    whole = abs(number) < _EXACT_IN_FLOAT and number == int(number)
    return int(number) if whole else number


_STR, _INT = msgspec.inspect.StrType, msgspec.inspect.IntType
_FLOAT, _BOOL = msgspec.inspect.FloatType, msgspec.inspect.BoolType
# By the types of an attribute: those that need no reading, those that need it though nothing is
# amiss, and what reads the rest.
_READERS: dict[
    frozenset[type[msgspec.inspect.Type]],
    tuple[tuple[type, ...], tuple[type, ...], Callable[[Any], Any]],
] = {
    frozenset({_STR}): ((str,), (), _text),
    frozenset({_INT}): ((int,), (), _integer),
    frozenset({_INT, _BOOL}): ((int, bool), (), _flag),
    frozenset({_INT, _FLOAT}): ((int,), (Exact,), _number),
    frozenset({_FLOAT}): ((int,), (Exact,), _number),
    frozenset({msgspec.inspect.CustomType}): ((Exact,), (int,), _exact),
    frozenset({_STR, _INT}): ((str, int), (), _integer),
    frozenset({_STR, _INT, _BOOL}): ((str, int, bool), (), _flag),
    frozenset({_STR, _INT, _FLOAT}): ((str, int), (Exact,), _number),
}
