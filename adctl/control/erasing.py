"""Forgetting one user, everywhere, with a receipt."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.delivery.sharding import shard_of
from adctl.errors import ConflictError
from adctl.stores import keys
from adctl.stores.erasures import Erasures
from adctl.stores.positions import StreamPositions
from adctl.stores.postgres import postgres_errors
from adctl.stores.redis import redis_errors
from adctl.stores.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.stores.stream import EventStream

_WAIT_SEC = 10.0
_PORTION = 250


class Receipt(NamedTuple):
    """What was forgotten, by store; ``number`` is None for a dry run.

    ``spooled`` are events in spools on this machine. ``waiting`` still name the user: entries of
    the event stream, which go when it is trimmed, and of this machine's journals, which go once
    PostgreSQL has them.
    """

    number: int | None
    erased_at: str | None
    events: int
    rejected_events: int
    redis_keys: int
    spooled: int
    waiting: int

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return self._asdict()


class Forgetting:
    """Forgets users. Raises StoreUnavailableError throughout; repeating it is safe.

    ``push`` brings everything in the event streams to PostgreSQL and Kafka, and forgets it there.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        client: redis.Redis,
        streams: list[EventStream],
        state_dir: Path,
        push: Callable[[], object],
    ) -> None:
        self._pool = pool
        self._redis = client
        self._streams = streams
        self._spools, self._journals = state_dir / "spool", state_dir / "journal"
        self._push = push
        self._erasures = Erasures()

    def look(self, user_hashes: Sequence[str]) -> Receipt:
        """Return what there is of a user, who may be known by several; nothing is changed."""
        with postgres_errors("look for a user"), self._pool.connection() as conn:
            counts = _total(self._erasures.count(conn, one) for one in user_hashes)
        with redis_errors("look for a user"):
            held = sum(int(self._redis.exists(*self._keys(one))) for one in user_hashes)
        return Receipt(
            None,
            None,
            counts["event"],
            counts["rejected_event"],
            held,
            _named_in(self._spools, user_hashes),
            self._waiting(user_hashes),
        )

    def forget(self, user_hashes: Sequence[str], actor: str) -> Receipt:
        """Take a user out of every store; what comes later of bids made until now, too.

        Each hash is remembered; the receipt's number is that of the first. Flushers wait for a
        moment only, however many events there are.
        """
        spooled = _named_in(self._spools, user_hashes)
        with postgres_errors("forget a user"), self._pool.connection() as conn, conn.transaction():
            # No flusher is between reading an event and storing it: those that come after this
            # store no event of the user, and those that were before it are found below.
            for stream in self._streams:
                StreamPositions(stream.key).lock_postgres(conn)
            erased = [self._erasures.record(conn, one, actor) for one in user_hashes]
        with postgres_errors("forget a user"), self._pool.connection() as conn, conn.transaction():
            counts = _total(self._erasures.erase(conn, one) for one in user_hashes)
        _await_absence(self._spools, user_hashes)
        with redis_errors("forget a user"):
            deleted = sum(int(self._redis.delete(*self._keys(one))) for one in user_hashes)
        self._push()
        _await_absence(self._journals, user_hashes)
        receipt = Receipt(
            erased[0][0],
            erased[0][1].isoformat(),
            counts["event"],
            counts["rejected_event"],
            deleted,
            spooled,
            self._waiting(user_hashes),
        )
        with postgres_errors("keep the receipt"), self._pool.connection() as conn:
            for number, _ in erased:
                self._erasures.keep_receipt(conn, number, receipt.fields())
        return receipt

    def _keys(self, user_hash: str) -> tuple[str, str]:
        shard = shard_of(user_hash, len(self._streams))
        return keys.user(shard, user_hash), keys.touches(shard, user_hash)

    def _waiting(self, user_hashes: Sequence[str]) -> int:
        count = _named_in(self._journals, user_hashes)
        for stream in self._streams:
            after = "0-0"
            while entries := stream.read(after, 1000):
                told = [b"".join(entry.fields.values()) for entry in entries]
                count += sum(one.encode() in text for text in told for one in user_hashes)
                after = entries[-1].id
        return count


def _total(counts: Iterable[dict[str, int]]) -> Counter[str]:
    return sum(map(Counter, counts), Counter())


def _named_in(folder: Path, user_hashes: Sequence[str]) -> int:
    held = map(_read, _files(folder))
    return sum(text.count(one.encode()) for text in held for one in user_hashes)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.v[0-9]*")) if folder.is_dir() else []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # its tracker has taken it away just now


def _await_absence(folder: Path, user_hashes: Sequence[str]) -> None:
    """Let running trackers be done with their files; rewrite those nobody uses."""
    deadline = time.monotonic() + _WAIT_SEC
    while _named_in(folder, user_hashes) and time.monotonic() < deadline:
        for name in {path.name.rsplit(".", 2)[0] for path in _files(folder)}:
            _rewrite(folder, name, user_hashes)
        time.sleep(0.1)


def _rewrite(folder: Path, name: str, user_hashes: Sequence[str]) -> None:
    try:
        # Journals are written in the same way.
        spool = Spool(folder, name, 1 << 40)
    except ConflictError:
        return  # its tracker lives, and brings it where it goes
    left = spool.size
    while left > 0 and (events := spool.peek(_PORTION)):
        before = spool.size
        spool.append([_without(tracked, user_hashes) for tracked in events])
        grown = spool.size - before
        spool.forget(len(events))
        left -= before + grown - spool.size
    spool.close()


def _without(tracked: Any, user_hashes: Sequence[str]) -> Any:
    if tracked.event.user_hash not in user_hashes:
        return tracked
    event = msgspec.structs.replace(tracked.event, user_hash="")
    return msgspec.structs.replace(tracked, event=event, counted_windows=(), held_at_ms=0)
