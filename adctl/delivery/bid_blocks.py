"""Every campaign's bid by its position, so arranged that the dearest of some are found soon."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Self

from adctl.delivery.bitmaps import FIRST_POSITIONS, WORD_BITS, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adctl.delivery.bitmaps import Matches

    Key = tuple[int, int]

_FIRST_BLOCKS = FIRST_POSITIONS // WORD_BITS


class BidBlocks:
    """Bids in blocks of 64 neighbours, and the blocks in the order of their dearest bid.

    Immutable: a change returns the next one and copies a block. Positions without a bid, and
    beyond the last, count as bidding 0, which is not bidding.
    """

    __slots__ = ("_blocks", "_order")

    def __init__(self, blocks: list[Sequence[int]], order: list[Key]) -> None:
        self._blocks = blocks
        # Of every block that bids: its dearest bid, negative, and its first position.
        self._order = order

    @classmethod
    def build(cls, bids: Sequence[int]) -> Self:
        """Return the blocks of the bids at positions 0, 1, 2 …, in CPM micros."""
        blocks: list[Sequence[int]] = [
            _padded(bids[at : at + WORD_BITS]) for at in range(0, len(bids), WORD_BITS)
        ]
        return cls(blocks, _ordered(blocks))

    def replaced(self, changed: Mapping[int, int]) -> Self:
        """Return the blocks with other bids at these positions, which may be new."""
        blocks = self._blocks.copy()
        touched: dict[int, list[int]] = {}
        for position, bid in changed.items():
            number = position // WORD_BITS
            while number >= len(blocks):
                blocks.append(_padded(()))
            if number not in touched:
                blocks[number] = touched[number] = list(blocks[number])
            touched[number][position % WORD_BITS] = bid
        # Nearly in order already, which sorting makes use of.
        order = [key for key in self._order if key[1] // WORD_BITS not in touched]
        order += ((-max(bids), number * WORD_BITS) for number, bids in touched.items() if any(bids))
        order.sort()
        return type(self)(blocks, order)

    def dearest_first(self, matches: Matches) -> Iterator[Key]:
        """Yield ``(-bid, position)`` for the positions in ``matches`` that bid, in ascending order.

        Lazy: a block is looked at when its dearest bid may be the next to be yielded.
        """
        # Positions are given by rank, so the dearest are nearly always among the first.
        words, rest = words_of(matches.first), matches.rest
        known, left = len(words), matches.first.bit_count()
        waiting: list[Key] = []
        for key in self._order:
            begin = key[1]
            number = begin // WORD_BITS
            if rest is not None and (number >= _FIRST_BLOCKS or not (left or waiting)):
                bits = rest()
                words, rest = words_of(bits), None
                known, left = len(words), left + bits.bit_count() - matches.first.bit_count()
            if not left and rest is None:
                break
            word = words[number] if number < known else 0
            if not word:
                continue
            while waiting and waiting[0] < key:
                yield heappop(waiting)
            bids = self._blocks[number]
            while word:
                lowest = word & -word
                place = lowest.bit_length() - 1
                word ^= lowest
                left -= 1
                if bids[place]:
                    heappush(waiting, (-bids[place], begin + place))
        while waiting:
            yield heappop(waiting)


def _padded(bids: Sequence[int]) -> tuple[int, ...]:
    return (*bids, *[0] * (WORD_BITS - len(bids)))


def _ordered(blocks: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return sorted(
        (-max(bids), number * WORD_BITS) for number, bids in enumerate(blocks) if any(bids)
    )
