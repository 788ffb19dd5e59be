"""Stream entries that became no events: looked at, and put back once their cause is mended."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.control.flushing import Flusher, partitions_needed
from adctl.control.misread_places import read_again
from adctl.errors import ConflictError, NotFoundError
from adctl.models import Event
from adctl.money import format_nanos
from adctl.stores.event_rows import EventRow, UnstorableEventError
from adctl.stores.events import EventStore
from adctl.stores.positions import POSTGRES, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.rejected_events import RejectedEvents, RejectedRef, WaitingEntry
from adctl.stores.stream import ORIGIN, StreamEntry, UnusableEntryError, event_streams, id_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.stores.rejected_events import RejectedEntry

# Held for as long as entries are put back: each is to be in the stream once.
_RETRY_LOCK = 7_237_444
_TOGETHER = 200
_UNKNOWN = "unknown"


class Fate(StrEnum):
    """What became of an entry that was put back."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # its event was stored before, or its order counted
    REFUSED = "refused"
    WAITING = "waiting"  # Redis has lost it; it can be put back again


class Retried(NamedTuple):
    """An entry that was put back, and what became of it; ``why`` it was refused."""

    entry: WaitingEntry
    fate: Fate
    why: str = ""

    def row(self) -> dict[str, object]:
        """Return what a listing shows."""
        entry = self.entry
        return {
            "rejected": str(entry.ref),
            "kind": entry.kind,
            "campaign_id": entry.campaign_id,
            "cost": shown_cost(entry),
            "fate": self.fate,
            "why": self.why,
        }


class _Prepared(NamedTuple):
    """An entry as it goes back: its event, its JSON, and what the tracking script said of it."""

    entry: WaitingEntry
    event: Event
    raw: bytes
    late: bool
    odd: str


def shown_cost(entry: WaitingEntry) -> str:
    """Return what an entry costs, for people to read."""
    return _UNKNOWN if entry.cost_nanos is None else format_nanos(entry.cost_nanos)


def row_of(entry: WaitingEntry, now: datetime) -> dict[str, object]:
    """Return what a listing shows of an entry."""
    return {
        "rejected": str(entry.ref),
        "age_sec": max(0, int((now - entry.rejected_at).total_seconds())),
        "kind": entry.kind,
        "campaign_id": entry.campaign_id,
        "campaign": entry.campaign,
        "cost": shown_cost(entry),
        "reason": entry.reason,
    }


class RejectedDesk:
    """Looks at what was rejected, and puts it back. Raises StoreUnavailableError throughout."""

    def __init__(
        self, pool: ConnectionPool[psycopg.Connection], client: redis.Redis, shards: int
    ) -> None:
        self._pool = pool
        self._streams = event_streams(client, shards)
        self._flushers = [Flusher(pool, stream) for stream in self._streams]
        self._rejected = RejectedEvents()
        self._events = EventStore()
        self._queries = load_queries("queries/rejected_events.sql")
        self._decode = msgspec.json.Decoder(Event).decode
        self._billed: set[str] = set()

    def waiting(self) -> list[WaitingEntry]:
        """Return all entries that wait, oldest first."""
        with postgres_errors("read rejected events"), self._pool.connection() as conn:
            return self._rejected.waiting(conn)

    def choose(self, names: Sequence[str]) -> list[WaitingEntry]:
        """Return those named SHARD/STREAM_ID, each once. Raises NotFoundError."""
        by_name = {str(entry.ref): entry for entry in self.waiting()}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise NotFoundError(
                f"no rejected event {', '.join(missing)}; `adctl rejected list` shows them"
            )
        return [by_name[name] for name in dict.fromkeys(names)]

    def show(self, name: str) -> dict[str, object]:
        """Return everything of one; what it holds as text, with what is no text as escapes."""
        [waiting] = self.choose([name])
        held = self._read([waiting.ref])
        if not held:
            raise NotFoundError(f"rejected event {name} has just been put back")
        entry = held[0]
        return {
            **row_of(waiting, datetime.now(UTC)),
            "rejected_at": waiting.rejected_at,
            "late": entry.late,
            "odd": entry.odd,
            "raw": entry.raw.decode("utf-8", "backslashreplace"),
        }

    def try_out(self, chosen: Sequence[WaitingEntry]) -> Iterator[list[Retried]]:
        """Yield, some at a time, what would become of entries; nothing is changed."""
        self._billed.clear()
        for some in _portions(chosen):
            prepared, refused = self._prepare(some)
            with (
                postgres_errors("try events out"),
                self._pool.connection() as conn,
                conn.transaction(force_rollback=True),
            ):
                tried = [self._try_one(conn, one) for one in prepared]
            yield refused + tried

    def retry(self, chosen: Sequence[WaitingEntry]) -> Iterator[list[Retried]]:
        """Put entries back into the stream, and yield, some at a time, what became of them.

        An entry goes from the table in the transaction that stores its event, or finds it stored,
        so whoever is killed in between loses nothing, and nothing is booked twice. Raises
        ConflictError while somebody else does the same.
        """
        self._billed.clear()
        with postgres_errors("put events back"), self._pool.connection() as conn:
            # A lock of the connection, which ends with it, however this program does.
            conn.autocommit = True
            try:
                if not self._queries.lock(conn, lock=_RETRY_LOCK):
                    raise ConflictError("somebody else is putting rejected events back")
                for some in _portions(chosen):
                    yield self._retry(some)
            finally:
                self._queries.unlock(conn)
                conn.autocommit = False

    def _retry(self, some: Sequence[WaitingEntry]) -> list[Retried]:
        prepared, done = self._prepare(some)
        by_shard: dict[int, list[_Prepared]] = {}
        for one in prepared:
            # Where there are fewer shards by now, the first one takes it.
            shard = one.entry.ref.shard if one.entry.ref.shard < len(self._streams) else 0
            by_shard.setdefault(shard, []).append(one)
        for shard, those in by_shard.items():
            stream = self._streams[shard]
            appended = {
                stream.retry(one.raw, late=one.late, odd=one.odd, name=str(one.entry.ref)): one
                for one in those
            }
            flushed = self._flush(shard, max(appended, key=id_order))
            done += self._fates(appended, flushed=flushed)
        return done

    def _flush(self, shard: int, upto_id: str) -> bool:
        """Flush a stream up to an entry, beside the daemon; return whether all of it is flushed."""
        while self._position(shard) < id_order(upto_id):
            if not self._flushers[shard].flush_once(_TOGETHER).read:
                return self._position(shard) >= id_order(upto_id)
        return True

    def _position(self, shard: int) -> tuple[int, int]:
        with postgres_errors("read stream positions"), self._pool.connection() as conn:
            positions = StreamPositions(self._streams[shard].key).read(conn)
        return id_order(next((p.last_id for p in positions if p.reader == POSTGRES), ORIGIN))

    def _fates(self, appended: dict[str, _Prepared], *, flushed: bool) -> list[Retried]:
        with postgres_errors("look events up"), self._pool.connection() as conn:
            refs = [one.entry.ref for one in appended.values()]
            reasons = self._rejected.reasons(conn, refs)
            events = [one.event for one in appended.values()]
            stored = self._rejected.stored_as(conn, events)
        done = []
        for stream_id, one in appended.items():
            reason = reasons.get(one.entry.ref)
            if reason is None:
                fate = Fate.STORED if stream_id in stored else Fate.DUPLICATE
                done.append(Retried(one.entry, fate))
            else:
                done.append(Retried(one.entry, Fate.REFUSED if flushed else Fate.WAITING, reason))
        return done

    def _prepare(self, some: Sequence[WaitingEntry]) -> tuple[list[_Prepared], list[Retried]]:
        """Return entries as they go back, and those that are no events."""
        by_ref = {entry.ref: entry for entry in some}
        prepared, refused = [], []
        for held in self._read(list(by_ref)):
            entry = by_ref[held.ref]
            try:
                prepared.append(self._prepare_one(entry, held))
            except (UnusableEntryError, UnstorableEventError) as exc:
                refused.append(Retried(entry, Fate.REFUSED, str(exc)))
        return prepared, refused

    def _prepare_one(self, entry: WaitingEntry, held: RejectedEntry) -> _Prepared:
        """Return an entry as it goes back. Raises UnusableEntryError, UnstorableEventError."""
        StreamEntry(entry.stream_id, {b"e": held.raw}).decode()
        event = self._decode(held.raw)
        mended = read_again(event, held.advertiser_id) if held.advertiser_id else event
        EventRow.of(entry.stream_id, mended)
        raw = held.raw if mended is event else msgspec.json.encode(mended)
        late = event.late if held.late is None else held.late
        return _Prepared(entry, mended, raw, late, held.odd or self._odd(mended))

    def _odd(self, event: Event) -> str:
        """Return what the script must have said of an event, where nobody kept it."""
        if not event.cost_nanos or event.test:
            return "taken"
        if event.bid_id in self._billed:
            return "rebilled"
        self._billed.add(event.bid_id)
        with postgres_errors("look events up"), self._pool.connection() as conn:
            billed = self._queries.billed_by_another(
                conn, event_date=event.event_date, event_id=event.event_id, bid_id=event.bid_id
            )
        return "rebilled" if billed else "taken"

    def _read(self, refs: Sequence[RejectedRef]) -> list[RejectedEntry]:
        with postgres_errors("read rejected events"), self._pool.connection() as conn:
            return self._rejected.entries(conn, refs)

    def _try_one(self, conn: psycopg.Connection, one: _Prepared) -> Retried:
        row = EventRow.of(one.entry.stream_id, one.event)
        self._events.make_partitions(conn, partitions_needed([row]))
        try:
            stored = self._events.store(conn, [row]).events
        except UnstorableEventError as exc:
            return Retried(one.entry, Fate.REFUSED, str(exc))
        return Retried(one.entry, Fate.STORED if stored else Fate.DUPLICATE)


def _portions(chosen: Sequence[WaitingEntry]) -> Iterator[Sequence[WaitingEntry]]:
    for at in range(0, len(chosen), _TOGETHER):
        yield chosen[at : at + _TOGETHER]
