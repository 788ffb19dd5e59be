"""Rebuilding what consumers have built from PostgreSQL's own rows."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import psycopg

from adctl.control.analytics import ANALYTICS
from adctl.control.billing import BILLING
from adctl.control.notify import NOTIFY
from adctl.stores.positions import POSTGRES, Position, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.rollups import ALWAYS, Rollups
from adctl.stores.statement_lines import StatementLines
from adctl.stores.stream import ORIGIN
from adctl.stores.stream_marks import StreamMarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg_pool import ConnectionPool

    from adctl.control.group_reading import Group

    Partition = tuple[str, int]


class Rebuild(Protocol):
    """Makes what a group has built what PostgreSQL's rows of one moment say."""

    def __call__(self, conn: psycopg.Connection, since: datetime) -> int:
        """Do so for the hours from ``since`` on; return how many rows hold any of it.

        Nobody else adds meanwhile.
        """


class GroupRebuilder:
    """Rebuilds what a group has built from the event ``streams``. Safe beside running daemons."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        group: Group,
        rebuild: Rebuild,
        *streams: str,
    ) -> None:
        self._pool = pool
        self._positions = [StreamPositions(stream) for stream in streams]
        self._offsets = group.offsets()
        self._rebuild = rebuild

    def rebuild(self, since: datetime = ALWAYS, *, dry_run: bool = False) -> int:
        """Rebuild from one moment's events; return the number of rows that hold any.

        Only the hours from ``since``'s on, or from an earlier rebuild on whose events consumers
        have not all met yet. Consumers wait meanwhile; events that reach them later but were part
        of that moment are skipped. One transaction, undone if ``dry_run``. Raises
        StoreUnavailableError.
        """
        with self.one_moment() as conn:
            rebuilt = self.rebuild_in(conn, since)
            if dry_run:
                raise psycopg.Rollback
        return rebuilt

    def begin_cluster(self, cluster_id: str, partitions: Iterable[Partition]) -> bool:
        """Make the group ready to read a cluster; True if it had not read from it before.

        Then all is rebuilt, because nobody knows what an earlier cluster still held. The relay is
        held to beginning no later than that, so that no event falls between the two. Raises
        StoreUnavailableError.
        """
        with postgres_errors("begin a relay"), self._pool.connection() as conn:
            for positions in self._positions:
                positions.begin_relay(conn, cluster_id)
        with self.one_moment() as conn:
            if self._offsets.knows(conn, cluster_id):
                return False
            self._offsets.begin(conn, cluster_id, partitions)
            self.rebuild_in(conn)
        return True

    def rebuild_in(self, conn: psycopg.Connection, since: datetime = ALWAYS) -> int:
        """Rebuild in a transaction of ``one_moment``; return the number of rows that hold any."""
        since = min(since, self._offsets.pending_since(conn) or since)
        # Days of events that were dropped cannot be counted again.
        since = max(since, self._floor(conn) or since)
        flushed = [_flushed_id(positions.read(conn)) for positions in self._positions]
        marks = str(StreamMarks.at(flushed))
        if since == ALWAYS:
            self._offsets.skip_up_to(conn, marks)
        else:
            since = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            # Events of earlier hours that consumers have not met yet count when they do.
            self._offsets.skip_since(conn, marks, since)
        return self._rebuild(conn, since)

    def _floor(self, _conn: psycopg.Connection) -> datetime | None:
        """Return the first moment from which PostgreSQL has all rows; None if it has them all."""
        return None

    @contextmanager
    def one_moment(self) -> Iterator[psycopg.Connection]:
        """Yield a transaction that sees one moment, after which consumers wait for its end.

        psycopg.Rollback undoes it. Raises StoreUnavailableError.
        """
        with postgres_errors("rebuild"), self._pool.connection() as conn:
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with conn.transaction():
                    self._offsets.block_changes(conn)
                    yield conn
            finally:
                if not conn.closed:
                    conn.isolation_level = None


class RollupRebuilder(GroupRebuilder):
    """Rebuilds the delivery rollups from the event table.

    Bids and requests are kept: they come from the decision log, which PostgreSQL does not hold.
    """

    def __init__(self, pool: ConnectionPool[psycopg.Connection], *streams: str) -> None:
        super().__init__(pool, ANALYTICS, Rollups().rebuild, *streams)
        self._retention = load_queries("queries/retention.sql")

    def _floor(self, conn: psycopg.Connection) -> datetime | None:
        floor: datetime | None = self._retention.rebuild_from(conn)
        return floor


class StatementRebuilder(GroupRebuilder):
    """Rebuilds the statement lines from the ledger, always all of them."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], *streams: str) -> None:
        lines = StatementLines()
        super().__init__(pool, BILLING, lambda conn, _: lines.rebuild(conn), *streams)


class NothingToRebuild(GroupRebuilder):
    """For the group notify: PostgreSQL cannot tell what it built, and a cluster is read whole."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], *_streams: str) -> None:
        super().__init__(pool, NOTIFY, lambda _conn, _since: 0)


def _flushed_id(positions: Iterable[Position]) -> str:
    return next((p.last_id for p in positions if p.reader == POSTGRES), ORIGIN)
