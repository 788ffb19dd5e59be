from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.pacing import ALLOWANCE_PPM, local_day, pacing_ppm, target_nanos
from adctl.models import Campaign, Pacing, TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 100_000_000_000
NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
ALLOWANCE = DAY * ALLOWANCE_PPM // 1_000_000


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    return make_campaign()


def test_half_of_the_day_is_half_of_the_budget(campaign: Campaign) -> None:
    assert target_nanos(campaign, DAY, NOON) == DAY // 2


def test_a_campaign_on_target_bids_in_full(campaign: Campaign) -> None:
    assert pacing_ppm(campaign, DAY, DAY // 2, NOON) == 1_000_000


def test_a_campaign_ahead_of_target_bids_less_in_a_straight_line(campaign: Campaign) -> None:
    assert pacing_ppm(campaign, DAY, DAY // 2 + ALLOWANCE // 4, NOON) == 750_000
    assert pacing_ppm(campaign, DAY, DAY // 2 + ALLOWANCE // 2, NOON) == 500_000


def test_a_campaign_ahead_by_the_allowance_does_not_bid(campaign: Campaign) -> None:
    assert pacing_ppm(campaign, DAY, DAY // 2 + ALLOWANCE, NOON) == 0
    assert pacing_ppm(campaign, DAY, DAY * 3, NOON) == 0


def test_an_asap_campaign_is_never_slowed(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(pacing=Pacing.ASAP)
    assert pacing_ppm(campaign, DAY, DAY, NOON) == 1_000_000


def test_the_first_moment_of_a_day_may_spend_the_allowance_only(campaign: Campaign) -> None:
    midnight = datetime(2026, 5, 6, tzinfo=UTC)
    assert pacing_ppm(campaign, DAY, 0, midnight) == 1_000_000
    assert pacing_ppm(campaign, DAY, ALLOWANCE, midnight) == 0


def test_a_budget_too_small_for_an_allowance_stops_at_its_target(campaign: Campaign) -> None:
    assert pacing_ppm(campaign, 1, 1, NOON) == 0
    assert pacing_ppm(campaign, 1, 0, NOON) == 1_000_000


def test_budgets_of_a_billion_are_paced_exactly(campaign: Campaign) -> None:
    billion = 10**18
    assert target_nanos(campaign, billion, NOON + timedelta(microseconds=1)) == (
        billion * 43_200_000_001 // 86_400_000_000
    )


def test_the_day_is_the_campaign_s_own(make_campaign: Callable[..., Campaign]) -> None:
    # Noon in UTC is 21 o'clock in Tokyo: 21 of 24 hours have passed there.
    assert target_nanos(make_campaign(timezone="Asia/Tokyo"), DAY, NOON) == DAY * 21 // 24


@pytest.mark.parametrize(
    ("day", "hours", "passed"),
    [
        # Clocks go from 2 to 3: at noon 11 of 23 hours have passed; and from 3 to 2: 13 of 25.
        (date(2026, 3, 29), 23, 11),
        (date(2026, 10, 25), 25, 13),
        (date(2026, 6, 1), 24, 12),
    ],
)
def test_days_on_which_clocks_change_are_shorter_or_longer(
    make_campaign: Callable[..., Campaign], day: date, hours: int, passed: int
) -> None:
    campaign = make_campaign(timezone="Europe/Berlin")
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert target_nanos(campaign, DAY, noon) == DAY * passed // hours


def test_only_hours_that_serve_count(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(time_windows=(TimeWindow(from_hour=6, to_hour=14),))
    assert target_nanos(campaign, DAY, NOON) == DAY * 6 // 8
    assert target_nanos(campaign, DAY, NOON.replace(hour=3)) == 0
    assert target_nanos(campaign, DAY, NOON.replace(hour=20)) == DAY


def test_a_flight_that_ends_at_noon_has_spent_all_by_then(
    make_campaign: Callable[..., Campaign],
) -> None:
    campaign = make_campaign(ends_at=NOON)
    assert target_nanos(campaign, DAY, NOON - timedelta(hours=6)) == DAY // 2
    assert target_nanos(campaign, DAY, NOON) == DAY


def test_a_flight_that_starts_at_noon_begins_at_nothing(
    make_campaign: Callable[..., Campaign],
) -> None:
    campaign = make_campaign(starts_at=NOON)
    assert target_nanos(campaign, DAY, NOON) == 0
    assert target_nanos(campaign, DAY, NOON + timedelta(hours=6)) == DAY // 2


def test_a_day_without_serving_time_has_no_target(make_campaign: Callable[..., Campaign]) -> None:
    sunday_only = make_campaign(time_windows=(TimeWindow(weekdays=("sun",)),))
    assert target_nanos(sunday_only, DAY, NOON) == 0


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", date(2026, 5, 6)),
        ("Pacific/Kiritimati", date(2026, 5, 7)),
        ("Pacific/Pago_Pago", date(2026, 5, 5)),
    ],
)
def test_three_dates_at_one_moment(zone: str, expected: date) -> None:
    assert local_day(zone, datetime(2026, 5, 6, 10, 30, tzinfo=UTC)) == expected


def test_a_day_begins_at_its_own_midnight() -> None:
    midnight = datetime(2026, 5, 6, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    assert local_day("America/New_York", midnight) == date(2026, 5, 6)
    assert local_day("America/New_York", midnight - timedelta(microseconds=1)) == date(2026, 5, 5)


@given(
    spent=st.integers(0, 10**19),
    budget=st.integers(1, 10**18),
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_a_pacing_factor_is_between_nothing_and_one(
    make_campaign: Callable[..., Campaign], spent: int, budget: int, moment: datetime, zone: str
) -> None:
    campaign = make_campaign(timezone=zone)
    assert 0 <= target_nanos(campaign, budget, moment) <= budget
    assert 0 <= pacing_ppm(campaign, budget, spent, moment) <= 1_000_000
