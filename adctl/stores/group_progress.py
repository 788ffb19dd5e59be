"""What a consumer group has counted for certain, which cluster it reads, what was made anew."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.postgres import load_queries
from adctl.stores.stream_marks import StreamMarks, outward_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import psycopg


class Progress(NamedTuple):
    """A group's: it has counted all up to ``counted_marks``, if it is ``complete``.

    ``searched_until`` is up to when it was searched for what is missing; None if it is not.
    """

    cluster_id: str
    counted_marks: str = ""
    complete: bool = False
    searched_until: datetime | None = None


class GroupProgress:
    """One group's progress. Every method joins the transaction of the caller's connection."""

    def __init__(self, group: str) -> None:
        self._group = {"consumer_group": group}
        self._queries = load_queries("queries/group_progress.sql")

    def read(self, conn: psycopg.Connection) -> Progress | None:
        """Return the group's progress; None if it has never begun with a cluster."""
        row = self._queries.read(conn, **self._group)
        return Progress(*row) if row else None

    def go_to(self, conn: psycopg.Connection, cluster_id: str) -> None:
        """Let nothing that another cluster said count any longer."""
        self._queries.go_to(conn, cluster_id=cluster_id, **self._group)

    def begin_search(self, conn: psycopg.Connection, marks: str, since: datetime) -> None:
        """Begin to search for what is missing of the events up to ``marks``."""
        self._queries.begin_search(conn, counted_marks=marks, searched_until=since, **self._group)

    def searched(self, conn: psycopg.Connection, until: datetime) -> None:
        """Note how far the search has come."""
        self._queries.searched(conn, searched_until=until, **self._group)

    def searched_all(self, conn: psycopg.Connection) -> None:
        """Note that what is missing is known."""
        self._queries.searched_all(conn, **self._group)

    def counted(self, conn: psycopg.Connection, cluster_id: str, marks: str) -> None:
        """Note that the group has counted everything up to ``marks``.

        Parts made anew from no more than that need not be known any longer.
        """
        self._queries.counted(conn, cluster_id=cluster_id, counted_marks=marks, **self._group)
        if not self._queries.is_complete(conn, **self._group):
            # One that was buried may be put back, and must not count beside its row.
            return
        reached = StreamMarks(marks)
        over = [
            part
            for part, upto in self.rebuilt(conn).items()
            if upto and reached.reaches(StreamMarks(upto))
        ]
        if over:
            self._queries.forget_rebuilt(conn, parts=over, **self._group)

    def incomplete(self, conn: psycopg.Connection) -> None:
        """Note that the group did not count everything it was told."""
        self._queries.incomplete(conn, **self._group)

    def missed(self, conn: psycopg.Connection, streams: Sequence[str], unit: str) -> list[datetime]:
        """Return the parts that may lack an event, oldest first.

        Those that are known to, and those with an event that was stored when the group had not
        come so far, and that were not made anew since.
        """
        progress, rebuilt = self.read(conn), self.rebuilt(conn)
        counted = progress.counted_marks if progress else ""
        found = {part for part, upto in rebuilt.items() if not upto}
        for part, newest in self._stored(conn, streams, unit, counted):
            if not StreamMarks(rebuilt.get(part, "")).covers(newest):
                found.add(part)
        return sorted(found)

    def stored_after(
        self, conn: psycopg.Connection, streams: Sequence[str], unit: str, marks: str
    ) -> list[datetime]:
        """Return the parts that may have an event which was stored after those up to ``marks``."""
        return [part for part, _ in self._stored(conn, streams, unit, marks)]

    def _stored(
        self, conn: psycopg.Connection, streams: Sequence[str], unit: str, marks: str
    ) -> Iterator[tuple[datetime, str]]:
        """Yield those parts with their newest event of a stream."""
        reached = StreamMarks(marks)
        shards = {stream: shard for shard, stream in enumerate(streams)}
        rows = self._queries.stored_parts(conn, streams=list(streams), unit=unit)
        for stream, part, last_id in rows:
            newest = outward_id(last_id, shards[stream])
            if not reached.covers(newest):
                yield part, newest

    def rebuilt(self, conn: psycopg.Connection) -> dict[datetime, str]:
        """Return up to which events parts were made anew; '' for those that have yet to be."""
        return dict(self._queries.rebuilt_parts(conn, **self._group))

    def note_rebuilt(
        self, conn: psycopg.Connection, parts: Collection[datetime], marks: str
    ) -> None:
        """Note that parts were made anew with all events up to ``marks``; '': that they must be."""
        if parts:
            self._queries.rebuilt(conn, parts=list(parts), stream_marks=marks, **self._group)

    def forget_rebuilt(self, conn: psycopg.Connection, parts: Collection[datetime]) -> None:
        """Forget that parts were made anew."""
        self._queries.forget_rebuilt(conn, parts=list(parts), **self._group)

    def forget_all_rebuilt(self, conn: psycopg.Connection) -> None:
        """Forget of every part that it was made anew."""
        self._queries.forget_all_rebuilt(conn, **self._group)
