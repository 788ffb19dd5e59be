"""From PostgreSQL to Kafka: the events it has stored, in the order of their stream.

Made of their rows: what becomes of Redis in between takes nothing from Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.errors import StoreUnavailableError
from adctl.stores.positions import StreamPositions, relay_reader
from adctl.stores.postgres import postgres_errors
from adctl.stores.relay_batches import RelayBatches
from adctl.stores.stream import id_order
from adctl.stores.stream_marks import outward_id
from adctl.streams import topics
from adctl.streams.producer import OutgoingMessage

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.models import Event
    from adctl.stores.stream import EventStream
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
        self._producer = producer
        self._admin = admin
        self._positions = StreamPositions(stream.key)
        self._batches = RelayBatches(stream.key)
        self._shard = stream.shard

    def relay_once(self, batch_size: int) -> int:
        """Send the next events that wait for Kafka, about ``batch_size`` of them; return how many.

        They go out as whole transactions of the flusher, as their rows are. After a crash a batch
        may be sent again, with the same stream ids. A new cluster gets its topics, and all from
        where the last one stopped. Raises StoreUnavailableError; the next call then begins at the
        same event.
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
        """Relay until nothing is left; return how many events. Raises StoreUnavailableError."""
        relayed = 0
        while sent := self.relay_once(batch_size):
            relayed += sent
        return relayed

    def _relay(
        self, conn: psycopg.Connection, cluster_id: str, position: str, batch_size: int
    ) -> int:
        flushed_id = self._positions.flushed(conn)
        batches = self._batches.next(conn, batch_size)
        if batches:
            events = self._batches.events(conn, batches)
            self._producer.send([self._message(stream_id, event) for stream_id, event in events])
            # A broker restarted in between took them under another id, and may have lost some.
            if self._producer.cluster_id() != cluster_id:
                raise StoreUnavailableError(f"Kafka: cluster {cluster_id} was replaced by another")
            self._batches.forget(conn, batches)
        # Where nothing waits, Kafka has all that was stored when PostgreSQL's position was read.
        reached = [position, *(batch.last_id for batch in batches)]
        if not self._batches.any(conn):
            reached.append(flushed_id)
        furthest_id = max(reached, key=id_order)
        if furthest_id != position:
            self._positions.advance(conn, relay_reader(cluster_id), furthest_id)
        return len(events) if batches else 0

    def _message(self, stream_id: str, event: Event) -> OutgoingMessage:
        return OutgoingMessage(
            topics.OF_EVENT[event.kind],
            event.bid_id.encode(),
            msgspec.json.encode(event),
            outward_id(stream_id, self._shard),
        )
