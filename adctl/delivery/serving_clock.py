"""Which campaigns' flights and hours are open, asked at every request and seldom changing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self
from zoneinfo import ZoneInfo

from adctl.delivery.bitmaps import Choices, bits_at
from adctl.delivery.pages import Pages
from adctl.delivery.schedule import hour_of_week, open_hours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from adctl.models import Campaign

ZonedHours = tuple[str, frozenset[int]]
"""A zone and hours of its week."""

# No zone's hour begins between two of these, since offsets are whole quarters.
_QUARTER_MS = 15 * 60 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG_AGO_MS = -(1 << 62)


class _Edge(NamedTuple):
    """The flight of the campaign at ``position`` begins, or is over."""

    at_ms: int
    position: int
    begins: bool


class _Opening(NamedTuple):
    """What holds from ``from_ms`` to ``until_ms`` (exclusive)."""

    from_ms: int
    until_ms: int
    in_flight: int
    in_hours: int
    bits: int


_NEVER_LOOKED = _Opening(_LONG_AGO_MS, _LONG_AGO_MS, 0, 0, 0)


def zoned_hours(campaign: Campaign) -> tuple[ZonedHours, ...]:
    """Return the hours the campaign restricts itself to; empty if it does not."""
    windows = campaign.targeting.time_windows
    return ((campaign.timezone, open_hours(windows)),) if windows else ()


class ServingClock:
    """Tells the open campaigns at a moment, by their positions.

    Immutable but for its last answer, which it remembers for as long as that holds, and from which
    it goes on to a later moment by the flights that began or ended in between. Callers may share
    it between threads.
    """

    def __init__(
        self,
        edges: Pages[Pages[_Edge]],
        hours: Choices[ZonedHours],
        zones: dict[str, ZoneInfo],
        opening: _Opening = _NEVER_LOOKED,
    ) -> None:
        # By the quarter of an hour they are in, and in it by their own key.
        self._edges = edges
        self._hours = hours
        self._zones = zones
        self._opening = opening

    @classmethod
    def build(cls, campaigns: Iterable[Campaign], hours: Choices[ZonedHours]) -> Self:
        """Return the clock of campaigns at positions 0, 1, 2 …."""
        edges: dict[int, dict[int, _Edge]] = {}
        for position, campaign in enumerate(campaigns):
            for edge in _edges(position, campaign):
                edges.setdefault(edge.at_ms // _QUARTER_MS, {})[_key(edge)] = edge
        by_quarter = {quarter: Pages.build(those) for quarter, those in edges.items()}
        return cls(Pages.build(by_quarter), hours, _zones(hours))

    def replaced(
        self,
        position: int,
        before: Campaign | None,
        after: Campaign | None,
        hours: Choices[ZonedHours],
    ) -> ServingClock:
        """Return a clock with another campaign, or nobody, at ``position``."""
        zones = self._zones if hours is self._hours else _zones(hours)
        gone = tuple(_edges(position, before)) if before else ()
        come = tuple(_edges(position, after)) if after else ()
        edges = self._edges
        if gone != come:
            for edge in gone:
                edges = _with(edges, edge, None)
            for edge in come:
                edges = _with(edges, edge, edge)
        return ServingClock(edges, hours, zones, self._reopened(1 << position, after, come))

    def open_at(self, now_ms: int) -> int:
        """Return the campaigns in flight and within their hours, as bits."""
        opening = self._opening
        if not opening.from_ms <= now_ms < opening.until_ms:
            opening = self._opening = self._look(now_ms)
        return opening.bits

    def _reopened(self, bit: int, campaign: Campaign | None, edges: Iterable[_Edge]) -> _Opening:
        """Return the last answer as it is with this campaign in the place of ``bit``."""
        last = self._opening
        in_flight, in_hours, until_ms = last.in_flight & ~bit, last.in_hours & ~bit, last.until_ms
        if campaign is not None:
            begun = [edge.begins for edge in edges if edge.at_ms <= last.from_ms]
            if begun and all(begun):
                in_flight |= bit
            if last.from_ms > _LONG_AGO_MS and self._is_within_hours(campaign, last.from_ms):
                in_hours |= bit
            later = (edge.at_ms for edge in edges if edge.at_ms > last.from_ms)
            until_ms = min((until_ms, *later))
        return _Opening(last.from_ms, until_ms, in_flight, in_hours, in_flight & in_hours)

    def _look(self, now_ms: int) -> _Opening:
        last = self._opening
        since_ms, in_flight = (
            (last.from_ms, last.in_flight) if last.from_ms <= now_ms else (_LONG_AGO_MS, 0)
        )
        begun, over = list[int](), list[int]()
        for edge in self._between(since_ms, now_ms):
            (begun if edge.begins else over).append(edge.position)
        # Flights end after they begin, so what did both in between is over.
        in_flight = (in_flight | bits_at(begun)) & ~bits_at(over)
        quarter = now_ms // _QUARTER_MS
        later = (edge.at_ms for edge in self._within(quarter) if edge.at_ms > now_ms)
        until_ms = min(later, default=(quarter + 1) * _QUARTER_MS)
        in_hours = self._within_hours(now_ms)
        return _Opening(now_ms, until_ms, in_flight, in_hours, in_flight & in_hours)

    def _between(self, since_ms: int, now_ms: int) -> Iterator[_Edge]:
        """Yield the edges after ``since_ms``, up to and with those at ``now_ms``."""
        first, last = since_ms // _QUARTER_MS, now_ms // _QUARTER_MS
        quarters = (
            map(self._within, range(first, last + 1))
            if last - first < len(self._edges)
            else (those.values() for those in self._edges.values())
        )
        for edges in quarters:
            for edge in edges:
                if since_ms < edge.at_ms <= now_ms:
                    yield edge

    def _within(self, quarter: int) -> Iterator[_Edge]:
        those = self._edges.get(quarter)
        return iter(()) if those is None else those.values()

    def _within_hours(self, now_ms: int) -> int:
        now = _moment(now_ms)
        hour_in = {name: hour_of_week(now.astimezone(zone)) for name, zone in self._zones.items()}
        return self._hours.taking_any(
            (name, hours) for name, hours in self._hours.values if hour_in[name] in hours
        )

    def _is_within_hours(self, campaign: Campaign, now_ms: int) -> bool:
        return all(
            hour_of_week(_moment(now_ms).astimezone(ZoneInfo(name))) in hours
            for name, hours in zoned_hours(campaign)
        )


def _zones(hours: Choices[ZonedHours]) -> dict[str, ZoneInfo]:
    return {name: ZoneInfo(name) for name, _ in hours.values}


def _edges(position: int, campaign: Campaign) -> Iterator[_Edge]:
    """Yield when the flight begins and when it is over; nothing if it is over before it begins."""
    starts_ms = _milliseconds(campaign.starts_at)
    if campaign.ends_at is None:
        yield _Edge(starts_ms, position, begins=True)
        return
    ends_ms = _milliseconds(campaign.ends_at)
    if starts_ms < ends_ms:
        yield _Edge(starts_ms, position, begins=True)
        yield _Edge(ends_ms, position, begins=False)


def _key(edge: _Edge) -> int:
    return edge.position * 2 + edge.begins


def _with(edges: Pages[Pages[_Edge]], at: _Edge, edge: _Edge | None) -> Pages[Pages[_Edge]]:
    """Return ``edges`` with ``edge`` in the place of ``at``."""
    quarter = at.at_ms // _QUARTER_MS
    those = (edges.get(quarter) or Pages[_Edge].build({})).replaced(_key(at), edge)
    return edges.replaced(quarter, those if len(those) else None)


def _moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def _milliseconds(at: datetime) -> int:
    """Return the first whole millisecond not before ``at``."""
    return -((_EPOCH - at) // timedelta(milliseconds=1))
