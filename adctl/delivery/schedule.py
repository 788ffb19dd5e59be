"""When a campaign serves: its flight, its days and its hours, in its own time zone.

Hours are those on the wall clock, so an hour that a change to winter time repeats counts twice and
one that summer time skips not at all.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from adctl.delivery.vocabulary import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from adctl.models import Campaign, TimeWindow

# Every offset in use, and every change of one, is a whole number of these.
_STEP = timedelta(minutes=15)
_HOURS_PER_WEEK = 168
_STEPS_PER_WEEK = _HOURS_PER_WEEK * timedelta(hours=1) // _STEP

Interval = tuple[datetime, datetime]


def hour_of_week(local: datetime) -> int:
    """Return 0 for Monday's first hour to 167 for Sunday's last."""
    return local.weekday() * 24 + local.hour


@lru_cache(maxsize=4096)
def open_hours(windows: tuple[TimeWindow, ...]) -> frozenset[int]:
    """Return the hours of the week that ``windows`` open; all of them if there are none.

    A window whose ``from_hour`` is not before its ``to_hour`` opens nothing: one over midnight is
    written as two.
    """
    if not windows:
        return frozenset(range(_HOURS_PER_WEEK))
    return frozenset(
        WEEKDAYS.index(weekday) * 24 + hour
        for window in windows
        for weekday in window.weekdays or WEEKDAYS
        for hour in range(window.from_hour, min(window.to_hour, 24))
    )


def in_flight(campaign: Campaign, now: datetime) -> bool:
    """Return whether ``now`` lies in the campaign's flight, whose end is exclusive."""
    return campaign.starts_at <= now and (campaign.ends_at is None or now < campaign.ends_at)


def in_time_window(campaign: Campaign, now: datetime) -> bool:
    """Return whether the campaign's hours include ``now``."""
    return is_open(campaign.targeting.time_windows, campaign.timezone, now)


def is_open(windows: tuple[TimeWindow, ...], timezone: str, now: datetime) -> bool:
    """Return whether ``windows`` include ``now``, in ``timezone``; all hours, if there are none."""
    return not windows or hour_of_week(now.astimezone(ZoneInfo(timezone))) in open_hours(windows)


def next_change(windows: tuple[TimeWindow, ...], timezone: str, now: datetime) -> datetime | None:
    """Return when ``windows`` open, if they are closed ``now``, or close; None if never."""
    opened = is_open(windows, timezone, now)
    at = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    for _ in range(_STEPS_PER_WEEK + 1):
        at += _STEP
        if is_open(windows, timezone, at) is not opened:
            return at.astimezone(ZoneInfo(timezone))
    return None


def day_bounds(timezone: str, day: date) -> Interval:
    """Return when ``day`` begins and ends (exclusive) in ``timezone``, in UTC.

    A day is 23 or 25 hours long when the clocks change. Where midnight does not exist, the day
    begins with the first moment that does.
    """
    zone = ZoneInfo(timezone)
    begins, ends = (
        datetime.combine(midnight, time(), tzinfo=zone).astimezone(UTC)
        for midnight in (day, day + timedelta(days=1))
    )
    return begins, ends


def serving_time(campaign: Campaign, day: date) -> tuple[Interval, ...]:
    """Return when the campaign serves on ``day`` of its zone, in UTC, in order, not overlapping.

    Its time windows and the bounds of its flight are taken into account; its status is not.
    """
    opened = _opened(campaign.timezone, day, campaign.targeting.time_windows)
    clipped = (_clip(interval, campaign.starts_at, campaign.ends_at) for interval in opened)
    return tuple((begins, ends) for begins, ends in clipped if begins < ends)


def length(intervals: Iterable[Interval]) -> timedelta:
    """Return how long ``intervals`` are together."""
    return sum((ends - begins for begins, ends in intervals), timedelta())


def elapsed(intervals: Iterable[Interval], now: datetime) -> timedelta:
    """Return how much of ``intervals`` lies before ``now``."""
    return length((begins, min(ends, now)) for begins, ends in intervals if begins < now)


@lru_cache(maxsize=4096)
def _opened(timezone: str, day: date, windows: tuple[TimeWindow, ...]) -> tuple[Interval, ...]:
    begins, ends = day_bounds(timezone, day)
    if not windows:
        return ((begins, ends),)
    zone, hours = ZoneInfo(timezone), open_hours(windows)
    merged: list[Interval] = []
    while begins < ends:
        step_ends = min(begins + _STEP, ends)
        if hour_of_week(begins.astimezone(zone)) in hours:
            joins = bool(merged) and merged[-1][1] == begins
            merged.append((merged.pop()[0] if joins else begins, step_ends))
        begins = step_ends
    return tuple(merged)


def _clip(interval: Interval, starts_at: datetime, ends_at: datetime | None) -> Interval:
    begins, ends = interval
    return max(begins, starts_at), ends if ends_at is None else min(ends, ends_at)
