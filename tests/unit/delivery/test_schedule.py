from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.schedule import (
    day_bounds,
    elapsed,
    in_flight,
    in_time_window,
    length,
    next_change,
    open_hours,
    serving_time,
)
from adctl.models import Campaign, TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "Antarctica/Troll",
    "Pacific/Chatham",
]


def test_a_flight_includes_its_start_and_not_its_end(
    make_campaign: Callable[..., Campaign],
) -> None:
    start, end = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    campaign = make_campaign(starts_at=start, ends_at=end)
    assert in_flight(campaign, start)
    assert not in_flight(campaign, start - timedelta(microseconds=1))
    assert in_flight(campaign, end - timedelta(microseconds=1))
    assert not in_flight(campaign, end)


def test_hours_are_those_of_the_campaign_s_zone(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(
        timezone="America/New_York",
        time_windows=(TimeWindow(weekdays=("mon",), from_hour=22, to_hour=24),),
    )
    # Monday, 22:30 in New York is Tuesday in UTC.
    late = datetime(2026, 5, 4, 22, 30, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    assert late.date() == date(2026, 5, 5)
    assert in_time_window(campaign, late)
    assert not in_time_window(campaign, late - timedelta(hours=1))
    assert not in_time_window(campaign, late + timedelta(hours=2))


def test_a_window_ends_with_the_minute_before_its_hour(
    make_campaign: Callable[..., Campaign],
) -> None:
    campaign = make_campaign(time_windows=(TimeWindow(from_hour=9, to_hour=17),))
    assert in_time_window(campaign, datetime(2026, 5, 4, 9, tzinfo=UTC))
    assert in_time_window(campaign, datetime(2026, 5, 4, 16, 59, 59, tzinfo=UTC))
    assert not in_time_window(campaign, datetime(2026, 5, 4, 17, tzinfo=UTC))


def test_a_repeated_hour_is_open_twice(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(
        timezone="Europe/Berlin", time_windows=(TimeWindow(from_hour=2, to_hour=3),)
    )
    intervals = serving_time(campaign, date(2026, 10, 25))
    assert length(intervals) == timedelta(hours=2)


def test_a_skipped_hour_is_never_open(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(
        timezone="Europe/Berlin", time_windows=(TimeWindow(from_hour=2, to_hour=3),)
    )
    assert serving_time(campaign, date(2026, 3, 29)) == ()


def test_a_day_without_midnight_begins_with_its_first_moment() -> None:
    # In Cairo clocks go from Friday 0:00 to 1:00.
    begins, ends = day_bounds("Africa/Cairo", date(2026, 4, 24))
    assert begins.astimezone(ZoneInfo("Africa/Cairo")).hour == 1
    assert ends - begins == timedelta(hours=23)


@pytest.mark.parametrize("zone", ZONES)
def test_days_follow_each_other_without_gap_or_overlap(zone: str) -> None:
    day = date(2026, 1, 1)
    while day < date(2027, 1, 1):
        next_day = day + timedelta(days=1)
        assert day_bounds(zone, day)[1] == day_bounds(zone, next_day)[0]
        day = next_day


def test_windows_that_overlap_are_served_once(make_campaign: Callable[..., Campaign]) -> None:
    windows = (TimeWindow(from_hour=8, to_hour=12), TimeWindow(from_hour=10, to_hour=14))
    campaign = make_campaign(time_windows=windows)
    assert len(serving_time(campaign, date(2026, 5, 4))) == 1
    assert length(serving_time(campaign, date(2026, 5, 4))) == timedelta(hours=6)


def test_a_window_that_ends_before_it_starts_opens_nothing() -> None:
    assert open_hours((TimeWindow(from_hour=22, to_hour=6),)) == frozenset()


def test_elapsed_time_stops_at_now(make_campaign: Callable[..., Campaign]) -> None:
    windows = (TimeWindow(from_hour=8, to_hour=10), TimeWindow(from_hour=20, to_hour=22))
    intervals = serving_time(make_campaign(time_windows=windows), date(2026, 5, 4))
    assert elapsed(intervals, datetime(2026, 5, 4, 7, tzinfo=UTC)) == timedelta()
    assert elapsed(intervals, datetime(2026, 5, 4, 9, tzinfo=UTC)) == timedelta(hours=1)
    assert elapsed(intervals, datetime(2026, 5, 4, 12, tzinfo=UTC)) == timedelta(hours=2)
    assert elapsed(intervals, datetime(2026, 5, 4, 23, tzinfo=UTC)) == timedelta(hours=4)


@given(
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    from_hour=st.integers(0, 23),
    hours=st.integers(1, 8),
)
def test_serving_time_is_when_the_window_is_open(
    make_campaign: Callable[..., Campaign],
    zone: str,
    moment: datetime,
    from_hour: int,
    hours: int,
) -> None:
    window = TimeWindow(from_hour=from_hour, to_hour=min(24, from_hour + hours))
    campaign = make_campaign(timezone=zone, time_windows=(window,))
    day = moment.astimezone(ZoneInfo(zone)).date()
    served = any(begins <= moment < ends for begins, ends in serving_time(campaign, day))
    assert served == in_time_window(campaign, moment)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 11, 2, 8, 50, tzinfo=UTC), "2026-11-02T10:00:00+01:00"),
        (datetime(2026, 11, 2, 9, 0, tzinfo=UTC), "2026-11-02T12:00:00+01:00"),
        (datetime(2026, 11, 2, 11, 0, tzinfo=UTC), "2026-11-03T10:00:00+01:00"),
        (datetime(2026, 10, 30, 12, 0, tzinfo=UTC), "2026-11-02T10:00:00+01:00"),
    ],
)
def test_hours_change_next_when_a_window_opens_or_closes(now: datetime, expected: str) -> None:
    windows = (TimeWindow(("mon", "tue"), 10, 12),)
    changes_at = next_change(windows, "Europe/Berlin", now)
    assert changes_at is not None
    assert changes_at.isoformat() == expected


def test_hours_that_never_end_never_change() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    assert next_change((), "UTC", now) is None
    assert next_change((TimeWindow((), 0, 24),), "UTC", now) is None
