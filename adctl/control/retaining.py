"""How long events are kept: partitions made ahead, and dropped by policy."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.flushing import Flusher

_CLOCKS = timedelta(hours=2)
_STALE_SEC = 3600.0


class Day(NamedTuple):
    """A partition of the event table: the bids of one UTC day. ``rows`` is an estimate."""

    day: date
    rows: int
    bytes: int
    drop: bool

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return {**self._asdict(), "day": self.day.isoformat()}


class TableSize(NamedTuple):
    """How much a table takes on disk, indexes and partitions included. ``rows`` is an estimate."""

    table: str
    partitions: int
    rows: int
    bytes: int
    index_bytes: int


class Policy(NamedTuple):
    """How many days of events are kept (0: all), and how long after its bid an event may come."""

    events_days: int
    longest_sec: int

    def oldest(self, today: date) -> date | None:
        """Return the oldest day that is kept; None if all are."""
        return today - timedelta(days=self.events_days) if self.events_days else None


class Retention:
    """The event table's days. Raises StoreUnavailableError throughout."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        flushers: Sequence[Flusher],
        policy: Policy,
    ) -> None:
        self._pool = pool
        self._flushers = flushers
        self._policy = policy
        self._queries = load_queries("queries/retention.sql")

    def days(self, now: datetime) -> list[Day]:
        """Return the partitions there are, oldest first, and which the policy would drop.

        A day that rejected events wait to go to is kept.
        """
        oldest = self._policy.oldest(now.astimezone(UTC).date())
        with postgres_errors("look at partitions"), self._pool.connection() as conn:
            rows = list(self._queries.days(conn))
        return [
            Day(day, count, size, drop=oldest is not None and day < oldest and not awaited)
            for day, _, count, size, awaited in rows
        ]

    def prune(self, now: datetime, actor: str) -> list[Day]:
        """Drop what the policy does not keep; return it. Nothing while events are on their way.

        Rollups, statement lines and the ledger stay. What a day held is kept in dropped_day, and
        from when on hours can still be rebuilt: no event of an hour is in a day that was dropped.
        """
        due = [day for day in self.days(now) if day.drop]
        if not due or not self._all_arrived():
            return []
        for day in due:
            self._drop(day.day, actor)
        return due

    def _all_arrived(self) -> bool:
        statuses = [flusher.status() for flusher in self._flushers]
        ages = (max(status.unflushed_age_sec, status.unrelayed_age_sec) for status in statuses)
        return max(ages, default=0.0) < _STALE_SEC

    def _drop(self, day: date, actor: str) -> None:
        began = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        rebuild_from = began + timedelta(seconds=self._policy.longest_sec) + _CLOCKS
        name = f"event_{day:%Y%m%d}"
        with postgres_errors("drop a day"), self._pool.connection() as conn, conn.transaction():
            events, cost_nanos = self._queries.events_of(conn, day=day)
            self._queries.record(
                conn,
                day=day,
                actor=actor,
                events=events,
                cost_nanos=cost_nanos,
                rebuild_from=rebuild_from,
            )
            conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))


def table_sizes(pool: ConnectionPool[psycopg.Connection]) -> list[TableSize]:
    """Return every table's size, the largest first. Raises StoreUnavailableError."""
    queries = load_queries("queries/retention.sql")
    with postgres_errors("measure tables"), pool.connection() as conn:
        return [TableSize(*row) for row in queries.sizes(conn)]
