"""Sets of campaigns as bits of Python integers: bit *p* stands for the campaign at position *p*.

An AND of two integers compares 64 campaigns per machine word. Everything here is immutable, so
that a reader keeps a consistent picture while the next one is made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable  # a struct's field, read at run time
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence

V = TypeVar("V", bound="Hashable")

WORD_BITS = 64
"""How many positions are looked at together."""

FIRST_POSITIONS = 64 * WORD_BITS
"""How many come first: a catalog of no more is looked at as a whole."""

FIRST_BITS = (1 << FIRST_POSITIONS) - 1
"""Those positions, as bits."""


def positions(bits: int) -> Iterator[int]:
    """Yield the positions of the set bits, lowest first.

    Words are taken from the integer's bytes: clearing the lowest bit of a large integer copies all
    of it, every time.
    """
    base = 0
    for word in words_of(bits):
        while word:
            lowest = word & -word
            yield base + lowest.bit_length() - 1
            word ^= lowest  # noqa: PLW2901 - the word is used up bit by bit
        base += WORD_BITS


def words_of(bits: int) -> Sequence[int]:
    """Return the bits as words of 64, those of the lowest positions first."""
    count = -(-bits.bit_length() // WORD_BITS)
    words = memoryview(bits.to_bytes(count * 8, sys.byteorder)).cast("Q")
    return words if sys.byteorder == "little" else words[::-1]


class Matches(msgspec.Struct, frozen=True, gc=False):
    """Positions as bits: the first of them, or all if ``rest`` is None, which else returns all."""

    first: int
    rest: Callable[[], int] | None = None


class Choices(Generic[V]):
    """One attribute that campaigns may restrict to some values.

    A campaign that names no value takes every request, one that does only those with such a value.
    """

    __slots__ = ("_naming", "_taking", "open_to_all")

    def __init__(self, naming: Mapping[V, int] | None = None, open_to_all: int = 0) -> None:
        self.open_to_all = open_to_all
        # Shared with the choices this was made from, and never changed.
        self._naming = naming or {}
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

    def among(self, bits: int) -> Self:
        """Return the choices of the campaigns in ``bits`` only."""
        # The bits of a list's many names are one object, and stay one.
        kept: dict[int, int] = {}
        naming = {}
        for value, all_ in self._naming.items():
            those = kept.get(id(all_))
            if those is None:
                those = kept[id(all_)] = all_ & bits
            if those:
                naming[value] = those
        return type(self)(naming, self.open_to_all & bits)

    def replaced(self, bit: int, before: Collection[V] | None, after: Collection[V] | None) -> Self:
        """Return choices in which one campaign names other values; itself if they are the same.

        ``bit`` is the campaign's; None stands for a campaign that was, or will be, not there.
        """
        if before == after:
            return self
        open_to_all, naming = self.open_to_all, self._naming
        if before is not None and not before:
            open_to_all ^= bit
        if after is not None and not after:
            open_to_all |= bit
        if before or after:
            naming = {**naming}
            for value in before or ():
                left = naming[value] ^ bit
                if left:
                    naming[value] = left
                else:
                    del naming[value]
            for value in after or ():
                held = naming.get(value)
                naming[value] = bit if held is None else held | bit
        return type(self)(naming, open_to_all)


def bits_at(at: Collection[int]) -> int:
    """Return the bits at these positions."""
    if not at:
        return 0
    # Setting bits in bytes, not in an integer, which would be copied for each of them.
    raw = bytearray(max(at) // 8 + 1)
    for position in at:
        raw[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(raw, "little")
