from __future__ import annotations

import pytest

from adctl.demo.books import CampaignBooks, Holdings, Overview, StoredEvents
from adctl.demo.summary import Summary, summarise
from adctl.demo.tally import Tally
from adctl.stores.budgets import BudgetState


def money(
    spent: int = 700, reserved: int = 100, available: int = 200, late: int = 0
) -> BudgetState:
    return BudgetState(
        budget=1000,
        available=available,
        reserved=reserved,
        spent=spent,
        day="2030-01-01",
        day_budget=1000,
        day_available=available,
        day_spent=spent,
        late=late,
    )


def held(
    times: dict[str, int] | None = None,
    cost_nanos: dict[str, int] | None = None,
    state: BudgetState | None = None,
    ledger: int = 700,
    rolled_up: dict[str, int] | None = None,
    rejected: int = 0,
) -> Holdings:
    found = times or {"b:impression": 1, "b:click": 1, "b:conversion": 1}
    kinds = ("win", "loss", "impression", "click", "conversion")
    events = StoredEvents(found, cost_nanos or {"b:impression": 700})
    campaign = CampaignBooks(1, "Shoes", "active", "cpm", state or money(), {}, 1_000_000)
    counted = {kind: events.of(kind) for kind in kinds} | {"spend_nanos": 700}
    return Holdings(
        events, Overview((campaign,)), {1: ledger}, counted | (rolled_up or {}), rejected
    )


@pytest.fixture
def tally() -> Tally:
    done = Tally()
    for event_id in ("b:impression", "b:click", "b:conversion"):
        done.send(event_id, 700 if event_id == "b:impression" else None)
        done.acknowledge(event_id)
    done.count("bids")
    done.count("forged_sent", 3)
    done.count("forged_rejected", 3)
    return done


def audit(tally: Tally, holdings: Holdings, undrained: str = "") -> Summary:
    return summarise(tally, holdings, undrained, 30.0, {})


def failed(summary: Summary) -> list[str]:
    return [f"{check.claim}: {check.found}" for check in summary.failed]


def test_a_run_whose_books_close_has_nothing_failed(tally: Tally) -> None:
    assert failed(audit(tally, held())) == []


def test_a_lost_event_fails_the_audit(tally: Tally) -> None:
    tally.acknowledge("c:win")
    assert failed(audit(tally, held())) == [
        "every acknowledged event is in PostgreSQL: 1 missing of 4"
    ]


def test_an_event_that_was_never_answered_may_be_missing(tally: Tally) -> None:
    tally.send("c:win")
    assert failed(audit(tally, held())) == []


def test_a_double_event_fails_the_audit(tally: Tally) -> None:
    times = {"b:impression": 2, "b:click": 1, "b:conversion": 1}
    assert failed(audit(tally, held(times))) == ["no event counts twice: 1 double"]


def test_an_event_nobody_sent_fails_the_audit(tally: Tally) -> None:
    times = {"b:impression": 1, "b:click": 1, "b:conversion": 1, "x:click": 1}
    assert failed(audit(tally, held(times))) == ["nothing is stored that was not sent: 1 unknown"]


@pytest.mark.parametrize("cost", [0, 699, 1400])
def test_a_wrong_price_fails_the_audit(tally: Tally, cost: int) -> None:
    assert failed(audit(tally, held(cost_nanos={"b:impression": cost}))) == [
        "every impression cost what the exchange charged: 1 mispriced"
    ]


def test_a_click_that_cost_something_fails_the_audit(tally: Tally) -> None:
    cost_nanos = {"b:impression": 700, "b:click": 1}
    assert len(failed(audit(tally, held(cost_nanos=cost_nanos)))) == 1


def test_a_ledger_that_differs_fails_the_audit(tally: Tally) -> None:
    assert failed(audit(tally, held(ledger=699))) == ["spend equals the ledger: Shoes"]


def test_a_budget_that_leaks_fails_the_audit(tally: Tally) -> None:
    assert failed(audit(tally, held(state=money(available=199)))) == [
        "spent + reserved + available == budget: Shoes"
    ]


def test_an_overspent_budget_fails_the_audit(tally: Tally) -> None:
    state = money(spent=1100, reserved=0, available=-100)
    assert failed(audit(tally, held(state=state, ledger=1100))) == [
        "no campaign overspent but by late wins: Shoes"
    ]


def test_late_wins_may_exceed_the_budget_by_what_they_cost(tally: Tally) -> None:
    state = money(spent=1100, reserved=0, available=-100, late=100)
    assert failed(audit(tally, held(state=state, ledger=1100))) == []


def test_rollups_that_differ_fail_the_audit(tally: Tally) -> None:
    assert failed(audit(tally, held(rolled_up={"click": 2}))) == [
        "rollups agree with the events: click: 2 of 1"
    ]


def test_a_forged_event_that_passed_fails_the_audit(tally: Tally) -> None:
    tally.count("forged_sent")
    assert failed(audit(tally, held())) == ["every forged event was rejected: 3 of 4"]


def test_a_run_without_conversions_fails_the_audit(tally: Tally) -> None:
    tally.acknowledged.discard("b:conversion")
    times = {"b:impression": 1, "b:click": 1}
    assert failed(audit(tally, held(times))) == [
        "there were bids, impressions, clicks, conversions and spend: no conversions"
    ]


def test_what_has_not_drained_fails_the_audit(tally: Tally) -> None:
    assert failed(audit(tally, held(), "3 events")) == [
        "everything drained within its time: 3 events"
    ]


def test_repeats_are_sent_but_count_once(tally: Tally) -> None:
    tally.send("b:click")
    summary = audit(tally, held())
    assert summary.traffic["events_repeated"] == 1
    assert {"event": "click", "sent": 1, "acknowledged": 1, "in_postgresql": 1} in summary.events
