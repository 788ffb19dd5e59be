"""Which campaigns' flights and hours are open, asked at every request and seldom changing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from adctl.delivery.bitmaps import Choices, bits_at
from adctl.delivery.schedule import hour_of_week, open_hours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.models import Campaign

ZonedHour = tuple[str, int]
"""A zone and one of its hours of the week."""

# No zone's hour begins between two of these, since offsets are whole quarters.
_QUARTER_MS = 15 * 60 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_OPEN = -1


class _Opening(NamedTuple):
    """The campaigns open from ``from_ms`` to ``until_ms`` (exclusive)."""

    from_ms: int
    until_ms: int
    bits: int


def zoned_hours(campaign: Campaign) -> frozenset[ZonedHour]:
    """Return the hours the campaign restricts itself to; empty if it does not."""
    windows = campaign.targeting.time_windows
    if not windows:
        return frozenset()
    hours = open_hours(windows) or {_NEVER_OPEN}
    return frozenset((campaign.timezone, hour) for hour in hours)


class ServingClock:
    """Tells the open campaigns at a moment. ``campaigns`` by position; None is nobody.

    Remembers its last answer for as long as that holds; callers may share it between threads.
    """

    def __init__(self, campaigns: Sequence[Campaign | None], hours: Choices[ZonedHour]) -> None:
        self._flights = [
            (position, _milliseconds(campaign.starts_at), _milliseconds(campaign.ends_at))
            for position, campaign in enumerate(campaigns)
            if campaign is not None
        ]
        self._hours = hours
        self._zones = [(name, ZoneInfo(name)) for name in {zone for zone, _ in hours.values}]
        self._opening = _Opening(0, 0, 0)

    def open_at(self, now_ms: int) -> int:
        """Return the campaigns in flight and within their hours, as bits."""
        opening = self._opening
        if not opening.from_ms <= now_ms < opening.until_ms:
            opening = self._opening = self._look(now_ms)
        return opening.bits

    def _look(self, now_ms: int) -> _Opening:
        now = _EPOCH + timedelta(milliseconds=now_ms)
        hours = [(name, hour_of_week(now.astimezone(zone))) for name, zone in self._zones]
        flying: list[int] = []
        until_ms = (now_ms // _QUARTER_MS + 1) * _QUARTER_MS
        for position, starts_ms, ends_ms in self._flights:
            if starts_ms is not None and now_ms < starts_ms:
                until_ms = min(until_ms, starts_ms)
            elif ends_ms is None:
                flying.append(position)
            elif now_ms < ends_ms:
                until_ms = min(until_ms, ends_ms)
                flying.append(position)
        return _Opening(now_ms, until_ms, bits_at(flying) & self._hours.taking_any(hours))


def _milliseconds(at: datetime | None) -> int | None:
    """Return the first whole millisecond not before ``at``."""
    return None if at is None else -((_EPOCH - at) // timedelta(milliseconds=1))
