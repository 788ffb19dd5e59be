"""Rebuilding what consumers have built from PostgreSQL's own rows.

In steps, each of which is one transaction that is right by itself: whoever is stopped between two,
or killed in one, goes on where the last one ended.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

import psycopg

from adctl.control.analytics import ANALYTICS
from adctl.control.billing import BILLING
from adctl.control.counted import Counted
from adctl.control.notify import NOTIFY
from adctl.control.parts import DAY, HOUR, days_between, ranges, whole_hour_from
from adctl.errors import StoreUnavailableError
from adctl.stores.group_progress import GroupProgress
from adctl.stores.positions import POSTGRES, Position, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.rollups import ALWAYS, FOREVER, Rollups
from adctl.stores.statement_lines import StatementLines
from adctl.stores.stream import ORIGIN
from adctl.stores.stream_marks import StreamMarks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from psycopg_pool import ConnectionPool

    from adctl.control.group_reading import Group
    from adctl.control.parts import Part

    Partition = tuple[str, int]

# A step does more than this only where one range of parts takes longer; the next has twice as long,
# so that events which come meanwhile never keep the last step from its end.
_STEP_SEC = 1.0
_SEARCHED = timedelta(days=31)


class Built(Protocol):
    """What a group has built, in parts of an hour or a day, and PostgreSQL's rows can tell.

    Every method joins the transaction of the caller's connection; ``since`` and ``until`` are where
    parts begin.
    """

    def rebuild(self, conn: psycopg.Connection, since: datetime, until: datetime) -> int:
        """Make it what the rows say; return how many rows hold any of it. Nobody adds meanwhile."""

    def differing(self, conn: psycopg.Connection, since: datetime, until: datetime) -> list[Part]:
        """Return the parts whose totals are not what the rows say."""

    def filled(self, conn: psycopg.Connection, since: datetime, until: datetime) -> list[Part]:
        """Return the parts that hold anything."""

    def first_moment(self, conn: psycopg.Connection) -> datetime | None:
        """Return the moment before which there is nothing; None if there is nothing at all."""


class Step(NamedTuple):
    """How far a rebuild has come: ``left`` of so many parts, in words what was done."""

    left: int
    told: str


def unheard(_step: Step) -> None:
    """Take no notice of a step."""


class GroupRebuilder:
    """Rebuilds what a group has built from the event ``streams``. Safe beside running daemons."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        group: Group,
        built: Built | None,
        part: timedelta,
        *streams: str,
    ) -> None:
        self._pool = pool
        self._group = group
        self._streams = streams
        self._positions = [StreamPositions(stream) for stream in streams]
        self._offsets = group.offsets()
        self._progress = GroupProgress(group.name)
        self._built = built
        self._part = part
        self._width = _SEARCHED

    def counted(self, cluster_id: str) -> Counted:
        """Return what finds out up to where the group has counted everything on a cluster."""
        return Counted(self._pool, self._group, self._streams, cluster_id)

    def rebuild(
        self,
        since: datetime = ALWAYS,
        *,
        dry_run: bool = False,
        tell: Callable[[Step], None] = unheard,
    ) -> int:
        """Rebuild the parts from ``since``'s on; return the number of rows that hold any.

        A day at a time, each from one moment's rows, undone if ``dry_run``. Consumers go on between
        days; events that reach them later but were part of that moment are skipped. Stopped in the
        middle, it leaves some days rebuilt, and all as right as they were. Raises
        StoreUnavailableError.
        """
        rebuilt, marks = 0, ""
        with postgres_errors("rebuild"), self._pool.connection() as conn:
            since, first = self._first_moments(conn, since)
        days = days_between(since, first, datetime.now(UTC))
        for number, (begins, ends) in enumerate(days):
            with self.one_moment() as conn:
                flushed = self._flushed(conn)
                marks = marks or flushed
                rebuilt += self._rebuild_range(conn, begins, ends, flushed)
                if dry_run:
                    raise psycopg.Rollback
            tell(Step(len(days) - number - 1, f"rebuilt what is of before {ends:%Y-%m-%d}"))
        if since == ALWAYS and not dry_run:
            self._note_whole(marks)
        return rebuilt

    def begin_cluster(
        self,
        cluster_id: str,
        partitions: Iterable[Partition],
        stopped: Callable[[], bool] = lambda: False,
        tell: Callable[[Step], None] = unheard,
    ) -> bool:
        """Make the group ready to read a cluster; True if it had not read from it before.

        Nobody knows what an earlier cluster still held. So the parts are made anew that had an
        event since the group was known to have counted everything; if that was never known, those
        whose totals show that one is missing. The relay is held to beginning no later than that, so
        that no event falls between the two. Raises StoreUnavailableError, also if it is to be
        ``stopped``; it goes on there when it is called again.
        """
        partitions = list(partitions)
        with postgres_errors("begin a relay"), self._pool.connection() as conn:
            if self._offsets.knows(conn, cluster_id):
                return False
            for positions in self._positions:
                positions.begin_relay(conn, cluster_id)
        most_sec = _STEP_SEC
        while not stopped():
            with self.one_moment() as conn:
                if self._offsets.knows(conn, cluster_id):
                    return False
                step = self._catch_up(conn, cluster_id, time.monotonic() + most_sec)
                if step is None:
                    self._begin(conn, cluster_id, partitions)
            if step is None:
                return True
            tell(step)
            most_sec *= 2
        raise StoreUnavailableError("stopped before the new cluster could be read")

    def begin_again(self, cluster_id: str, anew: Iterable[Partition]) -> None:
        """Forget having read partitions that were made ``anew``: the cluster is begun again.

        Raises StoreUnavailableError.
        """
        with self.one_moment() as conn:
            self._offsets.begin_again(conn, cluster_id, list(anew))

    def rebuild_in(self, conn: psycopg.Connection, since: datetime = ALWAYS) -> int:
        """Rebuild in a transaction of ``one_moment``; return the number of rows that hold any.

        Only the hours from ``since``'s on, or from an earlier rebuild on whose events consumers
        have not all met yet.
        """
        since = min(since, self._offsets.pending_since(conn) or since)
        since = self._within_reach(conn, since)
        marks = self._flushed(conn)
        if since == ALWAYS:
            self._offsets.skip_up_to(conn, marks)
        else:
            # Events of earlier hours that consumers have not met yet count when they do.
            self._offsets.skip_since(conn, marks, since)
        return self._built.rebuild(conn, since, FOREVER) if self._built else 0

    @contextmanager
    def one_moment(self) -> Iterator[psycopg.Connection]:
        """Yield a transaction that sees one moment, after which the group waits for its end.

        psycopg.Rollback undoes it. Raises StoreUnavailableError.
        """
        with (
            postgres_errors("rebuild"),
            self._pool.connection() as conn,
            self._offsets.held(conn),
        ):
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with conn.transaction():
                    yield conn
            finally:
                if not conn.closed:
                    conn.isolation_level = None

    def _catch_up(self, conn: psycopg.Connection, cluster_id: str, deadline: float) -> Step | None:
        """Make some of what is missing; return how far that is, or None when nothing is missing."""
        self._progress.go_to(conn, cluster_id)
        if self._built is None:
            return None
        while until := self._search(conn, self._built):
            # Opening every day of events costs more than what most of them hold.
            self._width *= 2
            if time.monotonic() >= deadline:
                return Step(1, f"looking for what is missing, and has come to {until:%Y-%m-%d}")
        floor, flushed = self._within_reach(conn, ALWAYS), self._flushed(conn)
        missed = self._progress.missed(conn, self._streams, self._unit)
        todo = ranges([part for part in missed if part >= floor], self._part)
        for done, (begins, ends) in enumerate(todo):
            if done and time.monotonic() >= deadline:
                left = sum((ends - begins) // self._part for begins, ends in todo[done:])
                return Step(left, f"making anew what it missed: {left} {self._unit}s are left")
            self._rebuild_range(conn, begins, ends, flushed)
        return None

    def _search(self, conn: psycopg.Connection, built: Built) -> datetime | None:
        """Find parts that lack events, of some time; return up to when, None at the end."""
        progress = self._progress.read(conn)
        if progress is None or progress.complete:
            return None
        since = progress.searched_until
        if since is None:
            first = built.first_moment(conn) or FOREVER
            since, until = ALWAYS, min(first, datetime.now(UTC)) + self._width
            self._progress.begin_search(conn, self._flushed(conn), since)
        else:
            until = since + self._width
        until = until.replace(hour=0, minute=0, second=0, microsecond=0)
        last = until > datetime.now(UTC)
        found = built.differing(conn, self._within_reach(conn, since), FOREVER if last else until)
        self._progress.note_rebuilt(conn, found, "")
        if last:
            self._progress.searched_all(conn)
            return None
        self._progress.searched(conn, until)
        return until

    def _begin(
        self, conn: psycopg.Connection, cluster_id: str, partitions: Iterable[Partition]
    ) -> None:
        marks = self._flushed(conn)
        self._offsets.begin(conn, cluster_id, partitions)
        self._offsets.skip_up_to(conn, marks)
        self._progress.forget_all_rebuilt(conn)
        self._progress.counted(conn, cluster_id, marks)

    def _rebuild_range(
        self, conn: psycopg.Connection, begins: datetime, ends: datetime, flushed: str
    ) -> int:
        if self._built is None:
            return 0
        rows = self._built.rebuild(conn, begins, ends)
        known = (part for part in self._progress.rebuilt(conn) if begins <= part < ends)
        parts = {*self._built.filled(conn, begins, ends), *known}
        self._progress.note_rebuilt(conn, parts, flushed)
        return rows

    def _note_whole(self, marks: str) -> None:
        """Say in a few words that every part was made anew with at least the events up to there."""
        with self.one_moment() as conn:
            if self._offsets.rebuilt_whole(conn, marks):
                newer = set(self._progress.stored_after(conn, self._streams, self._unit, marks))
                rebuilt = self._progress.rebuilt(conn)
                over = [part for part, upto in rebuilt.items() if upto and part not in newer]
                self._progress.forget_rebuilt(conn, over)

    def _first_moments(
        self, conn: psycopg.Connection, since: datetime
    ) -> tuple[datetime, datetime]:
        first = self._built.first_moment(conn) if self._built else None
        return self._within_reach(conn, since), first or datetime.now(UTC)

    def _within_reach(self, conn: psycopg.Connection, since: datetime) -> datetime:
        """Return the beginning of ``since``'s part, or of the first that can be made anew."""
        if since != ALWAYS:
            since = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return max(since, self._floor(conn) or since)

    def _floor(self, _conn: psycopg.Connection) -> datetime | None:
        """Return from when on PostgreSQL has all rows of a part; None if it has them all."""
        return None

    def _flushed(self, conn: psycopg.Connection) -> str:
        ids = [_flushed_id(positions.read(conn)) for positions in self._positions]
        return str(StreamMarks.at(ids))

    @property
    def _unit(self) -> str:
        return "hour" if self._part == HOUR else "day"


class RollupRebuilder(GroupRebuilder):
    """Rebuilds the delivery rollups from the event table.

    Bids and requests are kept: they come from the decision log, which PostgreSQL does not hold.
    """

    def __init__(self, pool: ConnectionPool[psycopg.Connection], *streams: str) -> None:
        super().__init__(pool, ANALYTICS, Rollups(), HOUR, *streams)
        self._retention = load_queries("queries/retention.sql")

    def _floor(self, conn: psycopg.Connection) -> datetime | None:
        # Days of events that were dropped cannot be counted again.
        floor: datetime | None = self._retention.rebuild_from(conn)
        return None if floor is None else whole_hour_from(floor)


class StatementRebuilder(GroupRebuilder):
    """Rebuilds the statement lines from the ledger."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], *streams: str) -> None:
        super().__init__(pool, BILLING, StatementLines(), DAY, *streams)


class NothingToRebuild(GroupRebuilder):
    """For the group notify: PostgreSQL cannot tell what it built, and a cluster is read whole."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], *_streams: str) -> None:
        super().__init__(pool, NOTIFY, None, HOUR)


def _flushed_id(positions: Iterable[Position]) -> str:
    return next((p.last_id for p in positions if p.reader == POSTGRES), ORIGIN)
