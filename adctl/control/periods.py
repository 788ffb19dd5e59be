"""Periods and moments as people tell them, in whole hours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from adctl.errors import Fault, FaultyInputError

_HOUR = timedelta(hours=1)
_SPAN = re.compile(r"([0-9]{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MOMENT = "24h, 7d, 2w, or a date such as 2026-11-01 or 2026-11-01T15:00"


class Period(NamedTuple):
    """Whole hours, ``until`` not included, and the zone in which to speak of them."""

    since: datetime
    until: datetime
    zone: ZoneInfo

    def __str__(self) -> str:
        """Read as ``2026-11-01 15:00 to 2026-11-02 15:00 Europe/Paris``."""
        since, until = (f"{moment:%Y-%m-%d %H:%M}" for moment in (self.since, self.until))
        return f"{since} to {until} {self.zone.key}"


def parse_period(since: str, until: str | None, timezone: str, now: datetime) -> Period:
    """Return the whole hours from ``since`` to ``until`` (now, if None).

    A date without an offset is in ``timezone``. Raises FaultyInputError with every fault.
    """
    faults: list[Fault] = []
    zone = _zone(timezone)
    if zone is None:
        faults.append(Fault("--timezone", timezone, "a zone such as UTC or Europe/Paris"))
    began = _moment(since, zone or ZoneInfo("UTC"), now)
    if began is None:
        faults.append(Fault("--since", since, _MOMENT))
    ended = now if until is None else _moment(until, zone or ZoneInfo("UTC"), now)
    if ended is None:
        faults.append(Fault("--until", until, _MOMENT))
    if began and ended and began >= ended:
        faults.append(Fault("--since", since, "a moment before --until"))
    if faults or not (zone and began and ended):
        raise FaultyInputError("report period", faults)
    last = _hour(ended + _HOUR - timedelta(microseconds=1))
    return Period(_hour(began).astimezone(zone), last.astimezone(zone), zone)


def parse_hour(field: str, told: str, now: datetime) -> datetime:
    """Return the beginning of the hour of a moment that is past; UTC unless it has an offset.

    Raises FaultyInputError, naming ``field``.
    """
    moment = _moment(told, ZoneInfo("UTC"), now)
    if moment is None or moment > now:
        expected = f"{_MOMENT}, in the past"
        raise FaultyInputError("moment", [Fault(field, told, expected)])
    return _hour(moment)


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _moment(text: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    if span := _SPAN.fullmatch(text):
        return now - int(span[1]) * _UNITS[span[2]]
    try:
        moment = datetime.fromisoformat(text)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Far enough from the calendar's ends to be converted to any zone.
    return at if 1 < at.year < 9999 else None


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
