from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.shares import moves, order_of, targets

AMOUNTS = st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=20)
WANTED = st.dictionaries(st.integers(0, 19), st.integers(1, 10**12), max_size=20)


def after(held: list[int], wanted: dict[int, int]) -> list[int]:
    """What everybody has once the moves are done."""
    has = list(held)
    for (giver, taker), nanos in moves(held, wanted, order_of(held, wanted)).items():
        has[giver] -= nanos
        has[taker] += nanos
    return has


@given(AMOUNTS, WANTED)
def test_moves_change_no_sum_and_take_from_nobody_what_it_has_not(
    held: list[int], wanted: dict[int, int]
) -> None:
    wanted = {shard: price for shard, price in wanted.items() if shard < len(held)}
    has = after(held, wanted)
    assert sum(has) == sum(held)
    for before, now in zip(held, has, strict=True):
        assert now >= min(before, 0)
    planned = moves(held, wanted, order_of(held, wanted))
    assert all(nanos > 0 for nanos in planned.values())


@given(AMOUNTS, st.integers(1, 10**12))
def test_targets_add_up_and_leave_nobody_owing_while_there_is_money(
    held: list[int], unit: int
) -> None:
    shares = targets(held, unit, order_of(held, {}))
    assert sum(shares) == sum(held)
    assert sum(held) <= 0 or min(shares) >= 0


@given(AMOUNTS, WANTED.filter(bool))
def test_some_shard_that_was_asked_in_vain_can_pay_if_all_together_could(
    held: list[int], wanted: dict[int, int]
) -> None:
    wanted = {shard: price for shard, price in wanted.items() if shard < len(held)}
    if wanted and sum(held) >= max(wanted.values()):
        has = after(held, wanted)
        assert any(has[shard] >= price for shard, price in wanted.items())


def test_dry_shard_gets_its_even_part_while_there_is_plenty() -> None:
    assert after([1000, 0, 1000, 1000], {1: 10}) == [750, 750, 750, 750]


def test_who_can_still_sell_gets_nothing() -> None:
    assert after([3000, 0, 10, 990], {1: 10}) == [2000, 1000, 10, 990]


def test_little_is_kept_together_where_it_was_asked_for() -> None:
    assert after([4, 4, 4, 4], {2: 10}) == [0, 0, 16, 0]
    assert after([4, 4, 4, 14], {1: 10, 2: 10}) == [0, 16, 10, 0]


def test_what_no_shard_could_pay_is_not_moved_to_and_fro() -> None:
    assert after([0, 6, 0, 0], {0: 10, 1: 10, 2: 10}) == [0, 6, 0, 0]


def test_all_get_the_same_when_nobody_has_run_dry() -> None:
    assert after([100, 0, -20, 3], {}) == [23, 20, 20, 20]


def test_debts_are_paid_first_and_nobody_sells_while_all_together_owe() -> None:
    assert after([10, -30, 5, 0], {}) == [0, -15, 0, 0]
    assert after([-43, 6, 6, 6], {}) == [-25, 0, 0, 0]
