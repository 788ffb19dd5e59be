"""Finding out that a Redis is from the past, and making its money anew.

A Redis that was restarted, restored from an older file, or promoted from a replica that lagged
holds less than was acknowledged; one that was emptied holds nothing. Each server has a run id of
its own, and a mark that is moved on twice a second, in Redis and then in PostgreSQL: another id, or
a mark that is not beyond PostgreSQL's, gives it away.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import structlog

from adctl.control.publishing import Making, make_all, remake_recounted
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.redis_marks import RedisMarks, confirmation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.control.flushing import Flusher
    from adctl.stores.budgets import Budgets
    from adctl.stores.catalog import CatalogStore
    from adctl.stores.redis_marks import RedisMark

log = structlog.get_logger()

_queries = load_queries("queries/redis_marks.sql")
# A program that is stopped for as long keeps nobody waiting any longer.
_STOPPED = "5s"
WAIT_SEC = 2.0
"""Trackers look once a second whether Redis may have forgotten what they gave it."""


class _Known(NamedTuple):
    """What PostgreSQL knows of a shard's server.

    Its money is ``made``, or can be: trackers were ``waited`` for, which bring what it forgot.
    """

    run_id: str = ""
    mark: int = 0
    generation: int = 0
    made: bool = False
    waited: bool = False

    def is_confirmed(self, said: RedisMark) -> bool:
        """Return whether what the server says is what it must say."""
        confirmed = said.confirmed == confirmation(self.generation, self.run_id)
        return confirmed and said.run_id == self.run_id and said.mark > self.mark


_UNKNOWN = _Known()


class RedisWatch:
    """Watches the servers of all shards. Any number may run, in any process.

    Where one is not the one that was confirmed, all money is made anew ``wait_sec`` after: trackers
    look for a new generation once a second, and what they bring again was spent.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        client: redis.Redis,
        catalog: CatalogStore,
        budgets: Budgets,
        flushers: Sequence[Flusher],
        wait_sec: float = WAIT_SEC,
    ) -> None:
        self._pool = pool
        self._marks = RedisMarks(client)
        self._catalog = catalog
        self._budgets = budgets
        self._flushers = flushers
        self._wait_sec = wait_sec

    def look(self) -> int:
        """Look at every shard's server; return how many were not the ones confirmed.

        Those are confirmed, as of a new generation; once trackers were waited for, the money of all
        campaigns is made anew, from the ledger and the streams. Raises StoreUnavailableError; the
        next look begins again.
        """
        # PostgreSQL first: whatever is written there meanwhile, the marks are beyond what was read.
        known = self._known()
        said = dict(enumerate(self._marks.advance(self._budgets.shards)))
        confirmed = {
            shard: mark
            for shard, mark in said.items()
            if known.get(shard, _UNKNOWN).is_confirmed(mark)
        }
        self._advance(confirmed)
        found = said.keys() - confirmed.keys()
        for shard in sorted(found):
            self._begin(shard, known.get(shard, _UNKNOWN).generation, said[shard])
        self._make()
        return len(found)

    def remake_recounted(self) -> int:
        """Make anew the money of campaigns that Redis counted an event of twice; how many."""
        return remake_recounted(self._pool, self._budgets)

    def _begin(self, shard: int, generation: int, said: RedisMark) -> None:
        if moved := self._flushers[shard].readmit():
            log.warning("events had ids of the past", shard=shard, entries=moved)
        with postgres_errors("note the server"), self._pool.connection() as conn:
            row = _queries.begin(
                conn, shard=shard, generation=generation, run_id=said.run_id, mark=said.mark
            )
        if row:
            if generation:
                log.warning("Redis is not the one that was confirmed", shard=shard, run=said.run_id)
            else:
                log.info("Redis is confirmed for the first time", shard=shard, run=said.run_id)
            self._marks.confirm(shard, row[0], said.run_id, row[1] + 1)

    def _make(self) -> None:
        """Make all money anew, where that has to be done and can be."""
        if not _to_be_made(self._known()):
            return
        with self._nobody_flushes() as conn:
            known = self._known_to(conn)
            if not _to_be_made(known):
                return
            confirmed = tuple(
                confirmation(one.generation, one.run_id) for _, one in sorted(known.items())
            )
            making = Making(anew=True, confirmed=confirmed)
            campaigns = make_all(conn, self._catalog, self._budgets, making)
            # Fails if this program was stopped for so long that PostgreSQL has let others go on.
            generations = [one.generation for one in known.values()]
            _queries.made(conn, shards=list(known), generations=generations)
        log.warning("made all money in Redis anew", campaigns=campaigns)

    @contextmanager
    def _nobody_flushes(self) -> Iterator[psycopg.Connection]:
        """Let no flusher move on: one may be writing what it has read of the server before.

        Otherwise its events would be neither in the ledger that is read here nor in the stream.
        """
        with (
            postgres_errors("make all money anew"),
            self._pool.connection() as conn,
            conn.transaction(),
        ):
            conn.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [_STOPPED]
            )
            for flusher in self._flushers:
                flusher.hold(conn)
            yield conn

    def _known(self) -> dict[int, _Known]:
        with postgres_errors("read what is known of Redis"), self._pool.connection() as conn:
            return self._known_to(conn)

    def _known_to(self, conn: psycopg.Connection) -> dict[int, _Known]:
        rows = _queries.read(conn, wait_sec=self._wait_sec)
        return {row[0]: _Known(*row[1:]) for row in rows if row[0] < self._budgets.shards}

    def _advance(self, confirmed: Mapping[int, RedisMark]) -> None:
        marks = [said.mark for said in confirmed.values()]
        with postgres_errors("move the marks on"), self._pool.connection() as conn:
            _queries.advance(conn, shards=list(confirmed), marks=marks)


def _to_be_made(known: Mapping[int, _Known]) -> bool:
    """Return whether a shard's money has to be made, and trackers were waited for."""
    waiting = [one for one in known.values() if not one.made]
    return bool(waiting) and all(one.waited for one in waiting)
