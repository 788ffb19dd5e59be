"""The event table, the ledger entries that follow from it, and what was refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.stores.erasures import Erasures
from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adctl.models import Event
    from adctl.stores.stream import StreamEntry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COPY = "COPY incoming_event FROM STDIN"


class UnstorableEventError(ValueError):
    """An event the schema has no place for; the message says why."""


class Stored(NamedTuple):
    """What a batch came to: new events, and the nanos they booked."""

    events: int
    booked_nanos: int


class EventStore:
    """Writes events. Every method takes the caller's connection and joins its transaction."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/events.sql")
        self._erasures = Erasures()

    def make_partitions(self, conn: psycopg.Connection, days: Iterable[date]) -> None:
        """Make the event table take events of ``days``. Any number of callers may do so at once.

        Days up to one that was dropped are left out: a repeat of an event of theirs must not count
        as new.
        """
        wanted = sorted(set(days))
        dropped = self._queries.last_dropped(conn) if wanted else None
        for day in wanted:
            if dropped is None or day > dropped:
                list(self._queries.make_partition(conn, day=day))

    def store(self, conn: psycopg.Connection, events: Sequence[tuple[str, Event]]) -> Stored:
        """Store events (stream id, event) that are not there yet, and book what those cost.

        All or nothing: raises UnstorableEventError, and undoes what it did, if one of them does
        not fit the schema. A partition for each event's date must be there. Users who were
        forgotten are left out (adctl.stores.erasures).
        """
        if not events:
            return Stored(0, 0)
        try:
            with conn.transaction():
                told = self._erasures.blank(conn, events)
                self._queries.create_incoming(conn)
                with conn.cursor() as cursor, cursor.copy(_COPY) as copy:
                    for stream_id, event in told:
                        copy.write_row(event_row(stream_id, event))
                return Stored(*self._queries.store_incoming(conn))
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise UnstorableEventError(str(exc).splitlines()[0]) from exc

    def reject(
        self, conn: psycopg.Connection, stream: str, entry: StreamEntry, reason: str
    ) -> None:
        """Keep an entry that cannot be stored, with the reason; a repeat changes nothing."""
        self._queries.reject(conn, stream=stream, stream_id=entry.id, reason=reason, raw=entry.raw)

    def stored_stream_ids(self, conn: psycopg.Connection, events: Sequence[Event]) -> set[str]:
        """Return the stream ids under which these events were stored.

        An event that came twice was stored under the first id only.
        """
        return {stream_id for _, stream_id in self._stored(conn, events)}

    def stored_ids(self, conn: psycopg.Connection, events: Sequence[Event]) -> set[str]:
        """Return the event ids of those among ``events`` that are stored."""
        return {event_id for event_id, _ in self._stored(conn, events)}

    def _stored(
        self, conn: psycopg.Connection, events: Sequence[Event]
    ) -> Iterable[tuple[str, str]]:
        storable = [
            (day, event.event_id)
            for event in events
            if (day := bid_date(event)) and "\0" not in event.event_id
        ]
        rows: Iterable[tuple[str, str]] = self._queries.stored(
            conn, dates=[day for day, _ in storable], ids=[event_id for _, event_id in storable]
        )
        return rows


def event_row(stream_id: str, event: Event) -> tuple[object, ...]:
    """Return an event as the columns of its table. Raises UnstorableEventError."""
    if (day := bid_date(event)) is None:
        raise UnstorableEventError(f"event_date {event.event_date!r} is no date")
    return (
        day,
        event.event_id,
        event.kind,
        occurred_at(event),
        event.bid_id,
        event.campaign_id,
        event.creative_id,
        event.exchange,
        event.price_cpm_micros,
        event.cost_nanos,
        event.unpriced,
        event.late,
        event.test,
        event.loss_reason,
        event.user_hash,
        stream_id,
        event.min_to_win_micros,
        event.market_bid_ratio_ppm,
        None if event.shown_at_ms is None else _moment(event.shown_at_ms, "shown_at_ms"),
        event.odd,
        event.advertiser_id,
        event.bid_cpm_micros,
        event.site,
        event.country,
        event.device,
        event.order_id,
        event.value_nanos,
        event.told_value_nanos,
        event.told_currency,
        event.attribution,
    )


def bid_date(event: Event) -> date | None:
    """Return the date of the bid, which the event is filed under; None if it is no date."""
    try:
        return date.fromisoformat(event.event_date)
    except ValueError:
        return None


def occurred_at(event: Event) -> datetime:
    """Return the moment of an event, exact to its millisecond.

    Raises UnstorableEventError for one beyond the calendar.
    """
    return _moment(event.occurred_at_ms, "occurred_at_ms")


def _moment(at_ms: int, name: str) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError as exc:
        raise UnstorableEventError(f"{name} {at_ms} is no date") from exc
