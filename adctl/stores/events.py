"""The event table, and the ledger entries that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.stores.erasures import Erasures
from adctl.stores.event_rows import COLUMNS, UnstorableEventError, bid_date
from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from adctl.models import Event
    from adctl.stores.event_rows import EventRow

_COPY = f"COPY incoming_event ({COLUMNS}) FROM STDIN"


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

    def store(
        self,
        conn: psycopg.Connection,
        rows: Sequence[EventRow],
        meanwhile: Callable[[], None] | None = None,
        *,
        stream: str | None = None,
    ) -> Stored:
        """Store events that are not there yet, and book what those cost.

        They came through ``stream``, in its order, and wait for its relay; None: Kafka has them.

        All or nothing: raises UnstorableEventError, and undoes what it did, if one of them does
        not fit the schema. A partition for each event's date must be there. Users who were
        forgotten are left out (adctl.stores.erasures). Campaigns are noted of which an event comes
        with a cost though it is stored: Redis has counted it twice. ``meanwhile`` is called when
        PostgreSQL has all rows, and has the most of its work before it.
        """
        if not rows:
            return Stored(0, 0)
        try:
            with conn.transaction():
                told = self._erasures.blank(conn, rows)
                self._queries.create_incoming(conn)
                with conn.cursor() as cursor, cursor.copy(_COPY) as copy:
                    copy.write(b"".join([row.line for row in told]))
                if meanwhile:
                    meanwhile()
                last_id = rows[-1].stream_id
                # Together they may cost more than any of them can.
                counts = self._queries.store_incoming(conn, stream=stream, last_id=last_id)
                stored = Stored(*map(int, counts))
                if stored.events and stream is None:
                    # By no id can be said whether a consumer group has come to these.
                    self._queries.groups_incomplete(conn)
                if stored.events < len(rows):
                    self._queries.note_recounted(conn)
                return stored
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise UnstorableEventError(str(exc).splitlines()[0]) from exc

    def stored_ids(self, conn: psycopg.Connection, events: Sequence[Event]) -> set[str]:
        """Return the event ids of those among ``events`` that are stored."""
        storable = [
            (day, event.event_id)
            for event in events
            if (day := bid_date(event)) and "\0" not in event.event_id
        ]
        rows = self._queries.stored(
            conn, dates=[day for day, _ in storable], ids=[event_id for _, event_id in storable]
        )
        return {event_id for (event_id,) in rows}
