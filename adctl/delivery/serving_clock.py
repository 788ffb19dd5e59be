"""Which campaigns' flights and hours are open, asked at every request and seldom changing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self
from zoneinfo import ZoneInfo

from adctl.delivery.bitmaps import Choices, bits_at
from adctl.delivery.schedule import hour_of_week, open_hours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adctl.models import Campaign

ZonedHours = tuple[str, frozenset[int]]
"""A zone and hours of its week."""

Flight = tuple[int, int]
"""Its start and its end (exclusive), in milliseconds."""

# No zone's hour begins between two of these, since offsets are whole quarters.
_QUARTER_MS = 15 * 60 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOREVER = 1 << 62


class _Opening(NamedTuple):
    """The campaigns open from ``from_ms`` to ``until_ms`` (exclusive)."""

    from_ms: int
    until_ms: int
    bits: int


def zoned_hours(campaign: Campaign) -> tuple[ZonedHours, ...]:
    """Return the hours the campaign restricts itself to; empty if it does not."""
    windows = campaign.targeting.time_windows
    return ((campaign.timezone, open_hours(windows)),) if windows else ()


class ServingClock:
    """Tells the open campaigns at a moment, by their positions.

    Remembers its last answer for as long as that holds; callers may share it between threads.
    """

    def __init__(self, flights: Mapping[int, Flight], hours: Choices[ZonedHours]) -> None:
        self._flights = flights
        self._hours = hours
        self._zones = {name: ZoneInfo(name) for name, _ in hours.values}
        self._opening = _Opening(0, 0, 0)

    @classmethod
    def build(cls, campaigns: Iterable[Campaign], hours: Choices[ZonedHours]) -> Self:
        """Return the clock of campaigns at positions 0, 1, 2 …."""
        return cls(dict(enumerate(map(_flight, campaigns))), hours)

    def replaced(
        self, position: int, campaign: Campaign | None, hours: Choices[ZonedHours]
    ) -> ServingClock:
        """Return a clock with this campaign, or nobody, at ``position``."""
        flights = dict(self._flights)
        if campaign is None:
            flights.pop(position, None)
        else:
            flights[position] = _flight(campaign)
        return ServingClock(flights, hours)

    def open_at(self, now_ms: int) -> int:
        """Return the campaigns in flight and within their hours, as bits."""
        opening = self._opening
        if not opening.from_ms <= now_ms < opening.until_ms:
            opening = self._opening = self._look(now_ms)
        return opening.bits

    def _look(self, now_ms: int) -> _Opening:
        flying: list[int] = []
        until_ms = (now_ms // _QUARTER_MS + 1) * _QUARTER_MS
        for position, (starts_ms, ends_ms) in self._flights.items():
            if starts_ms <= now_ms < ends_ms:
                flying.append(position)
                until_ms = min(until_ms, ends_ms)
            elif now_ms < starts_ms:
                until_ms = min(until_ms, starts_ms)
        flying.sort()
        return _Opening(now_ms, until_ms, bits_at(flying) & self._within_hours(now_ms))

    def _within_hours(self, now_ms: int) -> int:
        now = _EPOCH + timedelta(milliseconds=now_ms)
        hour_in = {name: hour_of_week(now.astimezone(zone)) for name, zone in self._zones.items()}
        return self._hours.taking_any(
            (name, hours) for name, hours in self._hours.values if hour_in[name] in hours
        )


def _flight(campaign: Campaign) -> Flight:
    ends_at = campaign.ends_at
    return _milliseconds(campaign.starts_at), _FOREVER if ends_at is None else _milliseconds(
        ends_at
    )


def _milliseconds(at: datetime) -> int:
    """Return the first whole millisecond not before ``at``."""
    return -((_EPOCH - at) // timedelta(milliseconds=1))
