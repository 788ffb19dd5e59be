from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adctl.control.allotment import Account, Purse, raises, should_serve, targets, withdrawals
from adctl.stores.budgets import BudgetState

TOTAL = 1_000_000
BID = 10


def purse(
    number: int,
    *,
    granted: int = 0,
    spent: int = 0,
    reserved: int = 0,
    live: bool = True,
    total: int = TOTAL,
) -> Purse:
    budget = min(total, granted)
    state = BudgetState(
        budget=budget,
        available=budget - spent - reserved,
        reserved=reserved,
        spent=spent,
        day="2026-11-23",
        day_budget=0,
        day_available=-reserved,
        day_spent=0,
        late=0,
    )
    return Purse(number, live, BID, total, granted, spent, state)


def account(*purses: Purse, paid: int, fee_ppm: int = 0, funded: bool = True) -> Account:
    booked = sum(one.booked for one in purses)
    balance = paid - booked - booked * fee_ppm // 1_000_000
    return Account(1, fee_ppm, funded, balance, purses)


def test_what_was_paid_is_shared_evenly() -> None:
    assert raises(account(purse(1), purse(2), paid=1_000)) == {1: 500, 2: 500}


def test_nobody_gets_more_than_its_own_budget() -> None:
    small = purse(1, total=100)
    assert raises(account(small, purse(2), paid=1_000)) == {1: 100, 2: 900}


def test_campaigns_that_do_not_serve_get_nothing_and_give_back_what_they_hold() -> None:
    paused = purse(1, granted=800, spent=100, reserved=50, live=False)
    one = account(paused, purse(2, granted=200, spent=190), paid=1_000)
    assert withdrawals(one) == {1: 150}
    assert raises(one) == {}


def test_the_fee_is_kept_back() -> None:
    assert raises(account(purse(1), paid=1_150, fee_ppm=150_000)) == {1: 1_000}


def test_nothing_is_moved_while_everybody_has_half_its_share() -> None:
    even = purse(1, granted=700, spent=100)
    behind = purse(2, granted=300, spent=60)
    assert targets(account(even, behind, paid=1_000)) == {}


def test_what_a_campaign_has_left_goes_to_one_that_runs_dry() -> None:
    idle, dry = purse(1, granted=700), purse(2, granted=300, spent=290, reserved=10)
    one = account(idle, dry, paid=1_000)
    assert withdrawals(one) == {1: 350}
    # Not before Redis has given it back.
    assert raises(one) == {}
    lowered = account(
        idle._replace(granted=350, state=purse(1, granted=350).state), dry, paid=1_000
    )
    assert raises(lowered) == {2: 650}


def test_what_was_reserved_while_money_was_taken_is_not_given_away() -> None:
    raced = purse(1, granted=350, reserved=400)
    dry = purse(2, granted=300, spent=300)
    # 700 are promised or spent, so each gets half of 300.
    assert raises(account(raced, dry, paid=1_000)) == {1: 550, 2: 450}


def test_a_charge_takes_back_what_was_granted() -> None:
    assert withdrawals(account(purse(1, granted=1_000, spent=300), paid=400)) == {1: 400}


def test_a_redis_that_still_has_the_old_budget_counts_as_holding_it() -> None:
    postpaid = purse(1)._replace(state=purse(1, granted=TOTAL).state)
    # It may stay with what it is told next; nobody else gets anything before.
    assert raises(account(postpaid, purse(2), paid=1_000)) == {1: 500}


def test_what_shards_have_not_paid_back_yet_is_not_free() -> None:
    lowered = purse(1, granted=350)._replace(owed=200)
    dry = purse(2, granted=300, spent=300)
    assert raises(account(lowered, dry, paid=1_000)) == {2: 450}


def test_campaigns_stop_when_one_impression_of_each_cannot_be_paid() -> None:
    assert should_serve(account(purse(1), purse(2), paid=20))
    assert not should_serve(account(purse(1), purse(2), paid=19))
    assert should_serve(account(purse(1), purse(2), paid=20))
    assert not should_serve(account(purse(1), purse(2), paid=19))
    assert should_serve(account(purse(1, spent=100, granted=100), paid=110))
    assert not should_serve(account(purse(1, spent=100, granted=100), paid=109))


def test_stopped_campaigns_start_when_fifty_impressions_of_each_can_be_paid() -> None:
    assert not should_serve(account(purse(1), paid=499, funded=False))
    assert should_serve(account(purse(1), paid=500, funded=False))


PURSES = st.lists(
    st.builds(
        lambda number, granted, spent, reserved, live, total: purse(
            number, granted=granted, spent=spent, reserved=reserved, live=live, total=total
        ),
        st.integers(1, 9),
        st.integers(0, 2_000),
        st.integers(0, 1_000),
        st.integers(0, 1_000),
        st.booleans(),
        st.integers(1, 3_000),
    ),
    max_size=6,
    unique_by=lambda one: one.campaign_id,
)


@given(purses=PURSES, paid=st.integers(-500, 10_000), fee_ppm=st.integers(0, 1_000_000))
def test_raised_grants_never_exceed_the_funds(purses: list[Purse], paid: int, fee_ppm: int) -> None:
    one = account(*purses, paid=paid, fee_ppm=fee_ppm)
    raised = raises(one)
    after = [each._replace(granted=raised.get(each.campaign_id, each.granted)) for each in purses]
    if raised:
        assert sum(each.held for each in after) <= max(one.funds, sum(each.held for each in purses))
    assert all(each.allowed <= each.total for each in after)


@given(purses=PURSES, paid=st.integers(-500, 10_000), fee_ppm=st.integers(0, 1_000_000))
def test_what_has_been_arranged_is_left_alone(purses: list[Purse], paid: int, fee_ppm: int) -> None:
    one = account(*purses, paid=paid, fee_ppm=fee_ppm)
    for choose in (withdrawals, raises, withdrawals, raises):
        chosen = choose(one)
        one = one._replace(
            purses=tuple(
                _told(each, chosen.get(each.campaign_id, each.granted)) for each in one.purses
            )
        )
    assert withdrawals(one) == {}
    assert raises(one) == {}


@given(spent=st.integers(0, 10**9), paid=st.integers(0, 10**9), fee_ppm=st.integers(0, 10**6))
def test_spending_all_the_funds_never_leaves_a_debt(spent: int, paid: int, fee_ppm: int) -> None:
    exact_fee = spent * fee_ppm
    one = account(purse(1, spent=spent), paid=paid, fee_ppm=fee_ppm)
    if one.funds >= spent:
        # The carried part of a nano is never charged before it is a whole one.
        charged = (exact_fee + (one.funds - spent) * fee_ppm) // 1_000_000
        assert paid - one.funds - charged >= 0


def _told(one: Purse, granted: int) -> Purse:
    assert one.state
    return purse(
        one.campaign_id,
        granted=granted,
        spent=one.state.spent,
        reserved=one.state.reserved,
        live=one.live,
        total=one.total,
    )


def test_what_rejected_events_cost_is_used_where_redis_has_lost_the_money() -> None:
    gone = purse(1, granted=1_000, spent=300)._replace(state=None, rejected=200)
    assert gone.used == 500
    assert withdrawals(account(gone, purse(2), paid=1_000))[1] >= 500
