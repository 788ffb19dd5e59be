"""Hours and days of UTC, which rebuilding goes by, and how they lie beside each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adctl.stores.rollups import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    Part = datetime
    Range = tuple[datetime, datetime]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def ranges(parts: Iterable[Part], width: timedelta) -> list[Range]:
    """Return from when to when ``parts`` reach, one for those side by side, but of a day at most.

    ``parts`` are in order, and each is ``width`` long.
    """
    found: list[Range] = []
    for part in parts:
        begins, ends = found[-1] if found else (part, part)
        if found and ends == part and begins.date() == part.date():
            found[-1] = (begins, part + width)
        else:
            found.append((part, part + width))
    return found


def days_between(since: datetime, first: datetime, now: datetime) -> list[Range]:
    """Return all time from ``since`` on in ranges: up to ``first``'s day, by days, and the rest."""
    begins = max(since, _midnight(first))
    bounds = [since]
    while (begins := _midnight(begins) + DAY) <= now:
        bounds.append(begins)
    return list(zip(bounds, [*bounds[1:], FOREVER], strict=True))


def whole_hour_from(moment: datetime) -> datetime:
    """Return the beginning of the first hour that is wholly after ``moment``."""
    begins = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return begins if begins == moment else begins + HOUR


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
