"""Events that PostgreSQL has and Kafka has not confirmed, as they were stored."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from adctl.models import Event, EventKind
from adctl.stores.postgres import load_queries
from adctl.stores.stream import id_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    import psycopg


class RelayBatch(NamedTuple):
    """What one transaction of a flusher stored; the stream was read up to ``last_id`` then."""

    id: int
    last_id: str


class RelayBatches:
    """What waits of one stream. Every method joins the transaction of the caller's connection.

    EventStore.store adds to it. Only one relay may take from it at a time.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._queries = load_queries("queries/relay_batches.sql")

    def next(self, conn: psycopg.Connection, most: int) -> list[RelayBatch]:
        """Return the oldest batches, of no more than ``most`` events but for the first of them."""
        rows = self._queries.next_batches(conn, stream=self._stream, most=most)
        return [RelayBatch(*row) for row in rows]

    def events(
        self, conn: psycopg.Connection, batches: Sequence[RelayBatch]
    ) -> list[tuple[str, Event]]:
        """Return the stream id and event of every row of ``batches``, in the stream's order.

        Each is the event that the stream brought, but for its user.
        """
        rows = self._queries.events_of(conn, ids=[batch.id for batch in batches])
        found = [
            (stream_id, Event(event_id, _iso(day), EventKind(kind), *rest))
            for stream_id, event_id, day, kind, *rest in rows
        ]
        return sorted(found, key=lambda one: id_order(one[0]))

    def forget(self, conn: psycopg.Connection, batches: Sequence[RelayBatch]) -> None:
        """Take away batches that Kafka has confirmed."""
        self._queries.forget_batches(conn, ids=[batch.id for batch in batches])

    def any(self, conn: psycopg.Connection) -> bool:
        """Return whether anything waits."""
        waiting: bool = self._queries.any_batch(conn, stream=self._stream)
        return waiting

    def age_sec(self, conn: psycopg.Connection) -> float:
        """Return how long ago the oldest was stored; 0 if nothing waits."""
        age: float | None = self._queries.age_sec(conn, stream=self._stream)
        return age or 0.0


class HeldRelays:
    """Keeps events from Kafka for a moment, so that whoever reads it can come to its end."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/relay_batches.sql")

    def told_before(self, conn: psycopg.Connection, moment: datetime) -> bool:
        """Return whether Kafka was told of all that was stored before ``moment``."""
        waiting: bool = self._queries.any_batch_before(conn, moment=moment)
        return not waiting

    def hold(self, conn: psycopg.Connection) -> None:
        """Let every relay wait until the transaction ends."""
        list(self._queries.hold_relays(conn))


# Events come in the order of time: one after the other is of the same day.
@lru_cache(16)
def _iso(day: date) -> str:
    return day.isoformat()
