"""Sets of campaigns as bits of Python integers: bit *p* stands for the campaign at position *p*.

An AND of two integers compares 64 campaigns per machine word. Everything here is immutable, so
that a reader keeps a consistent picture while the next one is made.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence

V = TypeVar("V", bound="Hashable")

_WORD = struct.Struct("<Q")
_WORD_BITS = 64


def positions(bits: int) -> Iterator[int]:
    """Yield the positions of the set bits, lowest first.

    Words are taken from the integer's bytes: clearing the lowest bit of a large integer copies all
    of it, every time.
    """
    words = -(-bits.bit_length() // _WORD_BITS)
    base = 0
    for (word,) in _WORD.iter_unpack(bits.to_bytes(words * _WORD.size, "little")):
        while word:
            lowest = word & -word
            yield base + lowest.bit_length() - 1
            word ^= lowest  # noqa: PLW2901 - the word is used up bit by bit
        base += _WORD_BITS


class Choices(Generic[V]):
    """One attribute that campaigns may restrict to some values.

    A campaign that names no value takes every request, one that does only those with such a value.
    """

    __slots__ = ("_naming", "_taking", "open_to_all")

    def __init__(self, naming: Mapping[V, int] | None = None, open_to_all: int = 0) -> None:
        self.open_to_all = open_to_all
        self._naming = dict(naming or {})
        # Filled as values are asked for. Threads may fill it at once: they write the same thing.
        self._taking: dict[V, int] = {}

    @property
    def values(self) -> Collection[V]:
        """The values that campaigns name."""
        return self._naming.keys()

    def taking(self, value: V) -> int:
        """Return the campaigns that take a request with this one value."""
        taking = self._taking.get(value)
        if taking is None:
            naming = self._naming.get(value)
            if naming is None:
                return self.open_to_all  # not kept: requests bring endless values nobody names
            taking = self._taking[value] = naming | self.open_to_all
        return taking

    def taking_any(self, values: Iterable[V]) -> int:
        """Return the campaigns that take a request with these values; none means unknown."""
        return self.open_to_all | self.naming(values)

    def naming(self, values: Iterable[V]) -> int:
        """Return the campaigns that name at least one of ``values``."""
        found = 0
        for value in values:
            found |= self._naming.get(value, 0)
        return found

    def replaced(self, bit: int, before: Iterable[V] | None, after: Iterable[V] | None) -> Self:
        """Return a copy in which one campaign names other values.

        ``bit`` is the campaign's; None stands for a campaign that was, or will be, not there.
        """
        naming, open_to_all = dict(self._naming), self.open_to_all & ~bit
        for value in frozenset(before or ()):
            left = naming[value] & ~bit
            if left:
                naming[value] = left
            else:
                del naming[value]
        named = None if after is None else frozenset(after)
        for value in named or ():
            naming[value] = naming.get(value, 0) | bit
        if named is not None and not named:
            open_to_all |= bit
        return type(self)(naming, open_to_all)


def build_choices(named: Iterable[Iterable[V]]) -> Choices[V]:
    """Return the choices of campaigns at positions 0, 1, 2 …, given the values each names."""
    places: dict[V, list[int]] = {}
    unrestricted: list[int] = []
    for position, values in enumerate(named):
        distinct = frozenset(values)
        for value in distinct:
            places.setdefault(value, []).append(position)
        if not distinct:
            unrestricted.append(position)
    return Choices({value: bits_at(at) for value, at in places.items()}, bits_at(unrestricted))


def bits_at(ascending: Sequence[int]) -> int:
    """Return the bits at these positions, given in ascending order."""
    if not ascending:
        return 0
    # Setting bits in bytes, not in an integer, which would be copied for each of them.
    raw = bytearray(ascending[-1] // 8 + 1)
    for position in ascending:
        raw[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(raw, "little")
