from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adctl.alarms import AlarmKind
from adctl.config_notices import AlarmSettings
from adctl.control.alarms import AlarmWatch
from adctl.delivery.alarms import budget_reasons, pacing_reason
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    Pacing,
    Status,
    Targeting,
    TimeWindow,
)
from adctl.stores.budgets import BudgetState

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = "2026-11-01"
BOX = Creative(1, 1, "box", CreativeKind.BANNER, Status.ACTIVE, "https://a.example", ("a.example",))


def campaign(**changes: object) -> Campaign:
    fields: dict[str, object] = {
        "id": 1,
        "advertiser_id": 1,
        "name": "c",
        "status": Status.ACTIVE,
        "bid_strategy": BidStrategy.CPM,
        "bid_amount_micros": 1,
        "daily_budget_nanos": 1000,
        "total_budget_nanos": 10_000,
        "starts_at": NOON - timedelta(days=10),
        "creatives": (BOX,),
    }
    return Campaign(**fields | changes)  # type: ignore[arg-type]


def state(day_spent: int, spent: int = 0, day: str = DAY) -> BudgetState:
    return BudgetState(10_000, 0, 0, spent, day, 1000, 0, day_spent, 0)


def told(day_spent: int, spent: int) -> list[tuple[AlarmKind, int]]:
    reasons = budget_reasons(campaign(), DAY, day_spent, spent, (50, 80, 100))
    return [(reason.kind, reason.percent) for reason in reasons]


@pytest.mark.parametrize(
    ("spent", "percents"),
    [(0, []), (494, []), (495, [50]), (800, [50, 80]), (994, [50, 80]), (995, [50, 80, 100])],
)
def test_every_share_that_is_spent_is_told_rounded_to_whole_percents(
    spent: int, percents: list[int]
) -> None:
    assert told(spent, 0) == [(AlarmKind.DAILY_BUDGET, percent) for percent in percents]
    assert told(0, spent * 10) == [(AlarmKind.TOTAL_BUDGET, percent) for percent in percents]


def test_a_raised_budget_is_another_matter() -> None:
    reasons = [
        next(budget_reasons(campaign(total_budget_nanos=total), DAY, 0, 9000, [50]))
        for total in (10_000, 12_000)
    ]
    assert reasons[0].scope != reasons[1].scope


@pytest.mark.parametrize(
    ("spent", "kind"),
    [
        (500, None),
        (376, None),
        (375, AlarmKind.BEHIND),
        (0, AlarmKind.BEHIND),
        (624, None),
        (625, AlarmKind.AHEAD),
    ],
)
def test_an_even_campaign_is_off_its_pace_by_a_share_of_what_was_expected(
    spent: int, kind: AlarmKind | None
) -> None:
    reason = pacing_reason(campaign(), spent, spent, 25, NOON)
    assert (reason.kind if reason else None) == kind
    assert pacing_reason(campaign(pacing=Pacing.ASAP), spent, spent, 25, NOON) is None


def test_little_money_is_no_reason_early_in_the_day() -> None:
    morning = NOON.replace(hour=1)
    assert pacing_reason(campaign(), 0, 0, 25, morning) is None
    # 83 of 1,000 are expected at two o'clock; the pacer itself lets 50 more be spent.
    assert pacing_reason(campaign(), 133, 133, 25, NOON.replace(hour=2)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"creatives": ()},
        {"starts_at": NOON + timedelta(hours=1)},
        {"ends_at": NOON},
        {"targeting": Targeting(time_windows=(TimeWindow((), 8, 12),))},
        {"total_budget_nanos": 5000},
    ],
)
def test_what_cannot_serve_has_no_pace(changes: dict[str, object]) -> None:
    assert pacing_reason(campaign(), 0, 5000, 25, NOON) is not None
    assert pacing_reason(campaign(**changes), 0, 5000, 25, NOON) is None


def test_a_last_day_that_has_less_is_expected_to_spend_less() -> None:
    last = campaign(total_budget_nanos=5400)
    assert pacing_reason(last, 200, 5200, 25, NOON) is None
    reason = pacing_reason(last, 0, 5000, 25, NOON)
    assert reason is not None
    assert (reason.budget_nanos, reason.expected_nanos) == (400, 200)


@pytest.fixture
def look() -> Callable[..., list[tuple[AlarmKind, int]]]:
    watch = AlarmWatch(AlarmSettings(pacing_minutes=30))

    def at(minutes: int, day_spent: int) -> list[tuple[AlarmKind, int]]:
        now = NOON + timedelta(minutes=minutes)
        found = watch.look({1: campaign()}, {1: state(day_spent)}, now)
        return [(alarm.reason.kind, alarm.reason.percent) for alarm in found]

    return at


def test_a_campaign_is_found_off_its_pace_once_it_has_been_for_a_while(
    look: Callable[..., list[tuple[AlarmKind, int]]],
) -> None:
    assert look(0, 300) == []
    assert look(29, 300) == []
    assert look(30, 300) == [(AlarmKind.BEHIND, 25)]
    assert look(31, 300) == []


def test_a_break_makes_the_while_begin_anew(
    look: Callable[..., list[tuple[AlarmKind, int]]],
) -> None:
    assert look(0, 300) == []
    assert look(15, 490) == []
    assert look(31, 300) == []
    assert look(61, 300) == [(AlarmKind.BEHIND, 25)]


def test_yesterdays_spend_is_no_alarm_of_today() -> None:
    watch = AlarmWatch(AlarmSettings(pacing_percent=0))
    assert watch.look({1: campaign()}, {1: state(1000, day="2026-10-31")}, NOON) == []
    assert len(watch.look({1: campaign()}, {1: state(500)}, NOON)) == 1


def test_what_could_not_be_written_is_found_again() -> None:
    watch = AlarmWatch(AlarmSettings(pacing_percent=0))
    found = watch.look({1: campaign()}, {1: state(500)}, NOON)
    watch.forget()
    assert watch.look({1: campaign()}, {1: state(500)}, NOON) == found != []
