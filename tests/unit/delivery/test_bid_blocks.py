from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.bid_blocks import BidBlocks
from adctl.delivery.bitmaps import FIRST_BITS, Matches, bits_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# Few amounts, so that many are equal, and enough positions for several blocks.
bids = st.lists(st.integers(0, 9), max_size=300)
asked = st.sets(st.integers(0, 400))


def expected(bids: list[int], asked: set[int]) -> list[tuple[int, int]]:
    return sorted((-bids[at], at) for at in asked if at < len(bids) and bids[at])


def matches(asked: Collection[int]) -> Matches:
    bits = bits_at(asked)
    return Matches(bits & FIRST_BITS, lambda: bits) if bits > FIRST_BITS else Matches(bits)


@given(bids, asked)
def test_the_dearest_come_first_and_of_equals_the_lowest_position(
    bids: list[int], asked: set[int]
) -> None:
    found = list(BidBlocks.build(bids).dearest_first(matches(asked)))
    assert found == expected(bids, asked)


@given(bids, asked, st.lists(st.dictionaries(st.integers(0, 350), st.integers(0, 99)), max_size=5))
def test_changed_bids_are_as_if_built_anew(
    bids: list[int], asked: set[int], changes: list[dict[int, int]]
) -> None:
    blocks = BidBlocks.build(bids)
    for changed in changes:
        before, known = blocks, list(bids)
        blocks = blocks.replaced(changed)
        bids += [0] * (max(changed, default=0) + 1 - len(bids))
        for position, bid in changed.items():
            bids[position] = bid
        assert list(blocks.dearest_first(matches(asked))) == expected(bids, asked)
        assert list(before.dearest_first(matches(asked))) == expected(known, asked)


def test_the_first_cost_no_look_at_blocks_that_bid_less() -> None:
    class Watched(tuple[int, ...]):
        __slots__ = ()
        read = 0

        def __getitem__(self, place: object) -> int:
            Watched.read += 1
            return super().__getitem__(place)

    blocks = [Watched(range(at, at + 64)) for at in range(1, 6400, 64)]
    order = sorted((-max(block), number * 64) for number, block in enumerate(blocks))
    walk = BidBlocks(blocks, order).dearest_first(matches(range(6400)))
    assert [-bid for bid, _ in islice(walk, 12)] == list(range(6400, 6388, -1))
    assert Watched.read <= 2 * 64


SPREAD = [position * 7919 % 1009 for position in range(10_000)]


@given(st.sets(st.integers(0, 9_999), max_size=40))
def test_the_dearest_come_first_wherever_they_stand(asked: set[int]) -> None:
    found = list(BidBlocks.build(SPREAD).dearest_first(matches(asked)))
    assert found == expected(SPREAD, asked)


@given(st.sets(st.integers(0, 9_999), max_size=40), st.integers(0, 40))
def test_others_than_the_first_are_asked_for_once_and_only_if_the_walk_gets_there(
    asked: set[int], few: int
) -> None:
    calls = []
    bits = bits_at(asked)
    every = Matches(bits & FIRST_BITS, lambda: calls.append(1) or bits)  # type: ignore[func-returns-value]
    walk = BidBlocks.build(SPREAD).dearest_first(every)
    assert list(islice(walk, few)) == expected(SPREAD, asked)[:few]
    assert len(calls) <= 1


@given(st.sets(st.integers(0, 9_999), max_size=3))
def test_walk_ends_with_the_last_match(asked: set[int]) -> None:
    read: list[int] = []

    class Order(list[tuple[int, int]]):
        def __iter__(self) -> Iterator[tuple[int, int]]:
            for key in super().__iter__():
                read.append(key[1])
                yield key

    built = BidBlocks.build(range(20_000, 10_000, -1))
    blocks = BidBlocks(built._blocks, Order(built._order))
    assert len(list(blocks.dearest_first(matches(asked)))) == len(asked)
    assert len(read) <= 2 + max(asked, default=0) // 64
