"""How far each reader of the event stream has come, kept with the rows it speaks of."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.postgres import load_queries
from adctl.stores.stream import ORIGIN

if TYPE_CHECKING:
    import psycopg

POSTGRES = "postgres"
_RELAY = "kafka:"


class Position(NamedTuple):
    """Where a reader is: the newest entry it has confirmed, and when it moved there."""

    reader: str
    last_id: str
    updated_at: datetime

    @property
    def is_relay(self) -> bool:
        """Whether it is that of a relay to a Kafka cluster."""
        return self.reader.startswith(_RELAY)


def relay_reader(cluster_id: str) -> str:
    """Return the reader's name of the relay to the Kafka cluster with this id."""
    return f"{_RELAY}{cluster_id}"


class StreamPositions:
    """Positions in one stream. Every method joins the transaction of the caller's connection."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._queries = load_queries("queries/stream_positions.sql")

    def lock_postgres(self, conn: psycopg.Connection) -> str:
        """Return PostgreSQL's position, locked until the transaction ends: one flusher at a time.

        A stream that was never read is at its origin.
        """
        self._queries.begin_stream(conn, stream=self._stream, reader=POSTGRES)
        last_id: str = self._queries.lock_position(conn, stream=self._stream, reader=POSTGRES)
        return last_id

    def flushed(self, conn: psycopg.Connection) -> str:
        """Return PostgreSQL's position; the origin of a stream that was never read."""
        return next((at.last_id for at in self.read(conn) if at.reader == POSTGRES), ORIGIN)

    def has_relay(self, conn: psycopg.Connection, cluster_id: str) -> bool:
        """Return whether the relay to this cluster has a position."""
        reader = relay_reader(cluster_id)
        return any(position.reader == reader for position in self.read(conn))

    def lock_relay(self, conn: psycopg.Connection, cluster_id: str) -> str | None:
        """Return a relay's position, locked until the transaction ends; None if it has none."""
        last_id: str | None = self._queries.lock_position(
            conn, stream=self._stream, reader=relay_reader(cluster_id)
        )
        return last_id

    def begin_relay(self, conn: psycopg.Connection, cluster_id: str) -> None:
        """Let the relay to a cluster go on where the last one stopped; drop all others.

        One that has a position keeps it. Whoever sees a new cluster first calls this, relay or
        consumer: what the consumer then finds stored in PostgreSQL it counts from there, and what
        is stored later the relay brings.
        """
        reader = relay_reader(cluster_id)
        self._queries.begin_relay(conn, stream=self._stream, reader=reader)
        self._queries.forget_other_relays(conn, stream=self._stream, reader=reader)

    def advance(self, conn: psycopg.Connection, reader: str, last_id: str) -> None:
        """Move a reader to ``last_id``."""
        self._queries.advance(conn, stream=self._stream, reader=reader, last_id=last_id)

    def read(self, conn: psycopg.Connection) -> list[Position]:
        """Return every reader's position."""
        rows = self._queries.read_positions(conn, stream=self._stream)
        return [Position(*row) for row in rows]
