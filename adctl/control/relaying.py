"""From the event stream to Kafka: what PostgreSQL has stored, in the stream's order."""

from __future__ import annotations

from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from adctl.errors import StoreUnavailableError
from adctl.stores.events import EventStore
from adctl.stores.positions import POSTGRES, StreamPositions, relay_reader
from adctl.stores.postgres import postgres_errors
from adctl.stores.stream import ORIGIN, EventStream, StreamEntry, UnusableEntryError, id_order
from adctl.stores.stream_marks import outward_id
from adctl.streams import topics
from adctl.streams.producer import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.models import Event
    from adctl.streams.admin import KafkaAdmin
    from adctl.streams.producer import ReliableProducer


class Relay:
    """Sends stored events on to Kafka. Any number may run at once: they take turns."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        stream: EventStream,
        producer: ReliableProducer,
        admin: KafkaAdmin,
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._producer = producer
        self._admin = admin
        self._positions = StreamPositions(stream.key)
        self._events = EventStore()

    def relay_once(self, batch_size: int) -> int:
        """Relay the next ``batch_size`` entries that PostgreSQL has confirmed; how many it read.

        An event that came twice goes out once, as PostgreSQL stored it. After a crash a batch may
        be sent again, with the same stream ids. A new cluster gets its topics, and all from
        where the last one stopped. Raises StoreUnavailableError; the stream is then kept, and
        the next call begins at the same entry.
        """
        cluster_id = self._producer.cluster_id()
        with postgres_errors("relay events"), self._pool.connection() as conn:
            if not self._positions.has_relay(conn, cluster_id):
                self._admin.ensure_topics()
                self._positions.begin_relay(conn, cluster_id)
                conn.commit()
            with conn.transaction():
                position = self._positions.lock_relay(conn, cluster_id)
                # None: another program has just seen the next cluster; so shall we.
                return self._relay(conn, cluster_id, position, batch_size) if position else 0

    def drain(self, batch_size: int) -> int:
        """Relay until nothing is left; return how many entries. Raises StoreUnavailableError."""
        relayed = 0
        while read := self.relay_once(batch_size):
            relayed += read
        return relayed

    def _relay(
        self, conn: psycopg.Connection, cluster_id: str, position: str, batch_size: int
    ) -> int:
        entries = self._confirmed(conn, position, batch_size)
        if not entries:
            return 0
        self._producer.send(self._messages(conn, entries))
        # A broker restarted in between took them under another id, and may have lost some.
        if self._producer.cluster_id() != cluster_id:
            raise StoreUnavailableError(f"Kafka: cluster {cluster_id} was replaced by another")
        self._positions.advance(conn, relay_reader(cluster_id), entries[-1].id)
        return len(entries)

    def _confirmed(
        self, conn: psycopg.Connection, position: str, batch_size: int
    ) -> list[StreamEntry]:
        positions = self._positions.read(conn)
        flushed = next((p.last_id for p in positions if p.reader == POSTGRES), ORIGIN)
        entries = self._stream.read(position, batch_size)
        return list(takewhile(lambda entry: id_order(entry.id) <= id_order(flushed), entries))

    def _messages(
        self, conn: psycopg.Connection, entries: Sequence[StreamEntry]
    ) -> list[OutgoingMessage]:
        events = list(_events(entries))
        stored = self._events.stored_stream_ids(conn, [event for _, event in events])
        return [
            _message(outward_id(entry.id, self._stream.shard), event)
            for entry, event in events
            if entry.id in stored
        ]


def _events(entries: Sequence[StreamEntry]) -> Iterator[tuple[StreamEntry, Event]]:
    """Yield the entries that are events, with those; the flusher has rejected the others."""
    for entry in entries:
        with suppress(UnusableEntryError):
            yield entry, entry.decode()


def _message(stream_id: str, event: Event) -> OutgoingMessage:
    # A log cannot forget one user: it is never told of any.
    told = msgspec.structs.replace(event, user_hash="") if event.user_hash else event
    return OutgoingMessage(
        topics.OF_EVENT[event.kind], event.bid_id.encode(), msgspec.json.encode(told), stream_id
    )
