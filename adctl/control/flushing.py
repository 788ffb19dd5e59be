"""From the event stream to PostgreSQL, batch by batch, and what may be forgotten after that."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from adctl.control.read_ahead import Batch, ReadAhead
from adctl.errors import LedgerBehindError, StoreUnavailableError
from adctl.money import format_nanos
from adctl.stores.event_rows import UnstorableEventError
from adctl.stores.events import EventStore, Stored
from adctl.stores.positions import POSTGRES, Position, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.rejected_events import RejectedEvents
from adctl.stores.relay_batches import RelayBatches
from adctl.stores.stream import ORIGIN, EventStream, UnusableEntryError, id_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.models import Event
    from adctl.stores.event_rows import EventRow
    from adctl.stores.stream import StreamEntry

# Bids this old or this far ahead are no bids of ours: a partition for any date whatever would let
# one broken event make the event table grow without end.
_OLDEST = timedelta(days=366)
_NEWEST = timedelta(days=2)
_READMITTED_TOGETHER = 500
STREAM_MAX_ENTRIES = 2_000_000
"""As tracker.stream_max_entries is, unless configured."""

_servers = load_queries("queries/redis_marks.sql")


class FlushedBatch(msgspec.Struct, frozen=True):
    """What became of one batch: entries read, stored as events, refused, and nanos booked."""

    read: int = 0
    stored: int = 0
    rejected: int = 0
    booked_nanos: int = 0

    @property
    def duplicates(self) -> int:
        """How many entries repeat an event that PostgreSQL had already."""
        return self.read - self.stored - self.rejected

    def __add__(self, other: FlushedBatch) -> FlushedBatch:
        """Return both batches as one."""
        return FlushedBatch(
            self.read + other.read,
            self.stored + other.stored,
            self.rejected + other.rejected,
            self.booked_nanos + other.booked_nanos,
        )

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, the amount as an exact decimal."""
        return {
            "entries": self.read,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "booked": format_nanos(self.booked_nanos),
        }


class FlushStatus(msgspec.Struct, frozen=True):
    """How far the event stream has been written and relayed.

    The ages are those of the oldest event PostgreSQL, and Kafka, have not confirmed; 0 if none.
    """

    entries: int
    unflushed_age_sec: float
    unrelayed_age_sec: float
    positions: tuple[Position, ...]

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, with a position for each reader."""
        return {
            "entries": self.entries,
            "unflushed_age_sec": round(self.unflushed_age_sec, 3),
            "unrelayed_age_sec": round(self.unrelayed_age_sec, 3),
            **{position.reader: position.last_id for position in self.positions},
        }


def together(by_shard: Sequence[FlushStatus]) -> FlushStatus:
    """Return the status of all shards' streams as one: all entries, the greatest ages.

    Readers of more streams than one stand in it once for each.
    """
    if len(by_shard) == 1:
        return by_shard[0]
    return FlushStatus(
        sum(status.entries for status in by_shard),
        max(status.unflushed_age_sec for status in by_shard),
        max(status.unrelayed_age_sec for status in by_shard),
        tuple(
            position._replace(reader=f"{position.reader}@{shard}")
            for shard, status in enumerate(by_shard)
            for position in status.positions
        ),
    )


class Flusher:
    """Writes the event stream into PostgreSQL. Any number may run at once, in any process.

    Each is for one thread at a time. Beyond half of ``stream_max_entries``, ``trim`` does not wait
    for Kafka.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        stream: EventStream,
        stream_max_entries: int = STREAM_MAX_ENTRIES,
    ) -> None:
        self._pool = pool
        self._stream = stream
        self._reader = ReadAhead(stream)
        self._positions = StreamPositions(stream.key)
        self._events = EventStore()
        self._batches = RelayBatches(stream.key)
        self._kept_for_kafka = stream_max_entries // 2
        self._rejected = RejectedEvents()

    def flush_once(self, batch_size: int, then: int = 0) -> FlushedBatch:
        """Store the next ``batch_size`` entries with their ledger entries, and move the position.

        If there are as many, ``then`` more are read meanwhile for the next call.

        One transaction: after a crash at any moment all of it happened or none, and flushing again
        stores nothing twice. An entry that is no event is put aside as rejected and blocks nobody.
        Raises StoreUnavailableError, and LedgerBehindError if PostgreSQL was restored to a moment
        before events that the stream has forgotten since.
        """
        flushed, position = self._flush(batch_size, then)
        # Said again where nothing came, too: a Redis that forgot it keeps trackers' journals. What
        # was not heard does so until the next time.
        if position != ORIGIN:
            with suppress(StoreUnavailableError):
                self._stream.tell_flushed(position)
        return flushed

    def _flush(self, batch_size: int, then: int) -> tuple[FlushedBatch, str]:
        """Return what was stored, and PostgreSQL's position, once it is committed."""
        with postgres_errors("flush events"), self._pool.connection() as conn, conn.transaction():
            position = self._positions.lock_postgres(conn)
            trimmed_id = self._stream.trimmed_id()
            if id_order(position) < id_order(trimmed_id):
                raise LedgerBehindError(
                    f"PostgreSQL has the events up to {position}, and has had those up to "
                    f"{trimmed_id}: it was restored to the past; `adctl budget reconcile --repair` "
                    "brings back what Kafka holds of them"
                )
            batch = self._reader.take(position, batch_size)
            if not batch.entries:
                return FlushedBatch(), position
            last_id = batch.entries[-1].id
            if not then or len(batch.entries) < batch_size:
                flushed = self._store(conn, batch)
            else:
                flushed = self._store(conn, batch, lambda: self._reader.prepare(last_id, then))
            self._positions.advance(conn, POSTGRES, last_id)
        return flushed, last_id

    def drain(self, batch_size: int) -> FlushedBatch:
        """Flush until nothing is left; return all of it. Raises StoreUnavailableError."""
        flushed = batch = self.flush_once(batch_size, then=batch_size)
        while batch.read:
            batch = self.flush_once(batch_size, then=batch_size)
            flushed += batch
        return flushed

    def trim(self) -> int:
        """Forget the entries that PostgreSQL has confirmed; return how many.

        Until the stream is half full they are kept until Kafka has them too, so that one of the two
        has what a PostgreSQL lost that was restored to the past. A server that took over forgets
        nothing before the pacer found it right: until then ``readmit`` may have to look.
        """
        with postgres_errors("read stream positions"), self._pool.connection() as conn:
            positions = self._positions.read(conn)
            server = _servers.found_right(conn, shard=self._stream.shard) or ""
        flushed = _flushed(positions)
        confirmed = min(flushed, _relayed(positions), key=id_order)
        if confirmed != flushed and self._stream.length() > self._kept_for_kafka:
            confirmed = flushed
        return self._stream.trim(confirmed, server)

    def status(self) -> FlushStatus:
        """Return how far stream, PostgreSQL and Kafka are apart. Raises StoreUnavailableError."""
        with postgres_errors("read stream positions"), self._pool.connection() as conn:
            positions = self._positions.read(conn)
            unrelayed_age_sec = self._batches.age_sec(conn)
        unflushed_age_sec = self._stream.age_sec(_flushed(positions))
        return FlushStatus(
            self._stream.length(),
            unflushed_age_sec,
            max(unflushed_age_sec, unrelayed_age_sec),
            tuple(positions),
        )

    def recover_stream(self) -> int:
        """Make a stream readable whose ids fell behind PostgreSQL's position; entries moved.

        That happens when Redis lost its memory and its clock went back. Repeating it changes
        nothing, and on a sound stream it does nothing.
        """
        with postgres_errors("read stream positions"), self._pool.connection() as conn:
            position = self._positions.lock_postgres(conn)
            if id_order(self._stream.last_id()) >= id_order(position):
                return 0
            return self._stream.renumber(position)

    def hold(self, conn: psycopg.Connection) -> None:
        """Let nobody flush until the transaction of ``conn`` ends. Waits for who is at it."""
        self._positions.lock_postgres(conn)

    def readmit(self) -> int:
        """Bring back what a Redis that took over has behind PostgreSQL's position; how many.

        Its clock may be behind that of the server it took over from, and the ids of what it took
        first with it. Repeating it changes nothing. Raises StoreUnavailableError.
        """
        with postgres_errors("look events up"), self._pool.connection() as conn:
            position = self._positions.flushed(conn)
            moved, after_id = 0, ORIGIN
            # First, so that nothing new gets such an id while the old are looked at.
            self._stream.append_again(position, [])
            while entries := self._stream.read(after_id, _READMITTED_TOGETHER, position):
                after_id = entries[-1].id
                missing = self._not_stored(conn, entries)
                moved += self._stream.append_again(position, missing) if missing else 0
        return moved

    def _not_stored(self, conn: psycopg.Connection, entries: Sequence[StreamEntry]) -> list[str]:
        events: dict[str, Event] = {}
        for entry in entries:
            with suppress(UnusableEntryError):
                events[entry.id] = entry.decode()
        stored = self._events.stored_ids(conn, list(events.values()))
        return [at for at, event in events.items() if event.event_id not in stored]

    def _store(
        self, conn: psycopg.Connection, batch: Batch, meanwhile: Callable[[], None] | None = None
    ) -> FlushedBatch:
        refused = {entry.id for entry, _ in batch.refused}
        for entry, reason in batch.refused:
            self._rejected.put(conn, self._stream.key, entry, reason)
        self._events.make_partitions(conn, partitions_needed(batch.rows))
        try:
            stored = self._events.store(conn, batch.rows, meanwhile, stream=self._stream.key)
        except UnstorableEventError:
            stored, unstorable = self._store_one_by_one(conn, batch)
            refused |= unstorable
        retried = [entry for entry in batch.entries if entry.retried]
        self._rejected.forget(conn, [one.retried for one in retried if one.id not in refused])
        return FlushedBatch(len(batch.entries), stored.events, len(refused), stored.booked_nanos)

    def _store_one_by_one(self, conn: psycopg.Connection, batch: Batch) -> tuple[Stored, set[str]]:
        """Store what can be; return that, and the ids of the entries that were rejected."""
        count, booked_nanos, rejected = 0, 0, set[str]()
        entries = {entry.id: entry for entry in batch.entries}
        for row in batch.rows:
            try:
                stored = self._events.store(conn, [row], stream=self._stream.key)
            except UnstorableEventError as exc:
                reason, entry = str(exc), entries[row.stream_id]
                self._rejected.put(conn, self._stream.key, entry, reason)
                rejected.add(entry.id)
            else:
                count += stored.events
                booked_nanos += stored.booked_nanos
        return Stored(count, booked_nanos), rejected


def _flushed(positions: Iterable[Position]) -> str:
    return next((at.last_id for at in positions if at.reader == POSTGRES), ORIGIN)


def _relayed(positions: Iterable[Position]) -> str:
    return min((at.last_id for at in positions if at.is_relay), key=id_order, default=ORIGIN)


def partitions_needed(rows: Iterable[EventRow]) -> set[date]:
    """Return the days whose partitions events of ours need; not those of broken dates."""
    today = datetime.now(UTC).date()
    days = {row.event_date for row in rows}
    return {day for day in days if today - _OLDEST <= day <= today + _NEWEST}
