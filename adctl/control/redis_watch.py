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


class _Known(NamedTuple):
    """What PostgreSQL knows of a shard's server."""

    run_id: str
    mark: int
    generation: int

    def is_confirmed(self, said: RedisMark) -> bool:
        """Return whether what the server says is what it must say."""
        confirmed = said.confirmed == confirmation(self.generation, self.run_id)
        return confirmed and said.run_id == self.run_id and said.mark > self.mark


_UNKNOWN = _Known("", 0, 0)


class RedisWatch:
    """Watches the servers of all shards. Any number may run, in any process."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        client: redis.Redis,
        catalog: CatalogStore,
        budgets: Budgets,
        flushers: Sequence[Flusher],
    ) -> None:
        self._pool = pool
        self._marks = RedisMarks(client)
        self._catalog = catalog
        self._budgets = budgets
        self._flushers = flushers

    def look(self) -> int:
        """Look at every shard's server; return how many were not the ones confirmed.

        Where one is not, the money of all campaigns is made anew, from the ledger and the streams,
        before it is confirmed. Raises StoreUnavailableError; the next look begins again.
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
        found = {shard: mark for shard, mark in said.items() if shard not in confirmed}
        if found:
            self._begin_again(found, tuple(mark.confirmed for mark in said.values()))
        return len(found)

    def remake_recounted(self) -> int:
        """Make anew the money of campaigns that Redis counted an event of twice; how many."""
        return remake_recounted(self._pool, self._budgets)

    def _begin_again(self, found: Mapping[int, RedisMark], confirmed: tuple[str, ...]) -> None:
        for shard in found:
            if moved := self._flushers[shard].readmit():
                log.warning("events had ids of the past", shard=shard, entries=moved)
        with self._nobody_flushes() as conn:
            making = Making(anew=True, confirmed=confirmed)
            campaigns = make_all(conn, self._catalog, self._budgets, making)
            # Fails if this program was stopped for so long that PostgreSQL has let others go on.
            rows = {
                shard: _queries.begin(conn, shard=shard, run_id=said.run_id, mark=said.mark)
                for shard, said in found.items()
            }
        for shard, (generation, mark) in rows.items():
            if self._marks.confirm(shard, generation, found[shard].run_id, mark + 1):
                log.warning(
                    "made all money in Redis anew: it was not the server that was confirmed",
                    shard=shard,
                    generation=generation,
                    campaigns=campaigns,
                )

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
            return {row[0]: _Known(*row[1:]) for row in _queries.read(conn)}

    def _advance(self, confirmed: Mapping[int, RedisMark]) -> None:
        marks = [said.mark for said in confirmed.values()]
        with postgres_errors("move the marks on"), self._pool.connection() as conn:
            _queries.advance(conn, shards=list(confirmed), marks=marks)
