"""Where a consumer group goes on reading, kept in the transaction of its results."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.postgres import load_queries
from adctl.stores.stream_marks import StreamMarks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import psycopg

    Partition = tuple[str, int]


class PartitionPosition(NamedTuple):
    """The next offset to read, and how far each event stream has been applied: StreamMarks.

    What is before ``replay_until`` has been counted once, and counts again from ``replay_from`` on.
    ``rewinds`` is how often ``next_offset`` was moved back. ``rebuilt_marks`` are those of the
    events that were last counted from PostgreSQL's own rows, which those of before
    ``rebuilt_since`` were not (None: all were).
    """

    next_offset: int = 0
    stream_marks: str = ""
    replay_until: int = 0
    replay_from: datetime | None = None
    rewinds: int = 0
    rebuilt_marks: str = ""
    rebuilt_since: datetime | None = None

    def is_replayed(self, offset: int) -> bool:
        """Return whether what is at ``offset`` has been counted before a rewind."""
        return offset < self.replay_until

    def rewound(self, offset: int, since: datetime) -> PartitionPosition:
        """Return the position that reads from ``offset`` what is of ``since`` or later again.

        While an earlier replay is under way, ``since`` may not be later than that one's.
        """
        return self._replace(
            next_offset=min(offset, self.next_offset),
            replay_until=max(self.next_offset, self.replay_until),
            replay_from=since,
            rewinds=self.rewinds + 1,
        )

    @property
    def replaying(self) -> bool:
        """Return whether a replay is under way."""
        return self.next_offset < self.replay_until


class GroupOffsets:
    """One group's positions. Every method joins the transaction of the caller's connection.

    ``keyed`` are the topics whose messages have stream ids. Of the others only offsets keep
    messages from being counted twice, so they outlive a change of clusters. ``known_by`` are the
    topics of which the group has a position on every cluster it has begun to read.
    """

    def __init__(self, group: str, keyed: Iterable[str], known_by: Iterable[str]) -> None:
        self._group = {"consumer_group": group}
        self._keyed = {"keyed": list(keyed)}
        self._known_by = list(known_by)
        self._queries = load_queries("queries/consumer_positions.sql")

    def read(self, conn: psycopg.Connection, cluster_id: str) -> dict[Partition, PartitionPosition]:
        """Return the position of every partition the group has read on this cluster."""
        rows = self._queries.read_positions(conn, cluster_id=cluster_id, **self._group)
        return {(topic, number): PartitionPosition(*rest) for topic, number, *rest in rows}

    def lock(
        self, conn: psycopg.Connection, cluster_id: str, partitions: Iterable[Partition]
    ) -> dict[Partition, PartitionPosition]:
        """Return the positions, ``partitions`` among them, for this transaction to change alone."""
        list(self._queries.announce_change(conn, **self._group))
        # A row that is not there cannot be locked, and two would begin the partition at once.
        self._begin_partitions(
            conn, cluster_id, set(partitions) - self.read(conn, cluster_id).keys()
        )
        rows = self._queries.lock_positions(conn, cluster_id=cluster_id, **self._group)
        return {(topic, number): PartitionPosition(*rest) for topic, number, *rest in rows}

    def advance(
        self,
        conn: psycopg.Connection,
        cluster_id: str,
        positions: Mapping[Partition, PartitionPosition],
    ) -> None:
        """Move the group to ``positions``."""
        self._queries.advance_partition(
            conn,
            [
                {"cluster_id": cluster_id, "topic": topic, "partition": number}
                | self._group
                | position._asdict()
                for (topic, number), position in sorted(positions.items())
            ],
        )

    def rewind(
        self,
        conn: psycopg.Connection,
        cluster_id: str,
        positions: Mapping[Partition, PartitionPosition],
    ) -> None:
        """Move the group back to ``positions``; the caller keeps consumers from moving on."""
        self._queries.rewind_partition(
            conn,
            [
                {"cluster_id": cluster_id, "topic": topic, "partition": number}
                | self._group
                | position._asdict()
                for (topic, number), position in sorted(positions.items())
            ],
        )

    def is_elsewhere(self, conn: psycopg.Connection, cluster_id: str) -> bool:
        """Return whether the group has read from another cluster too."""
        elsewhere: bool = self._queries.is_elsewhere(conn, cluster_id=cluster_id, **self._group)
        return elsewhere

    @contextmanager
    def held(self, conn: psycopg.Connection) -> Iterator[None]:
        """Keep every consumer of this group from changing what it builds, or positions.

        Outside of a transaction: one that begins inside sees everything that was done before.
        Other groups go on.
        """
        list(self._queries.hold_group(conn, **self._group))
        conn.commit()
        try:
            yield
        finally:
            # A connection that is lost has let go.
            if not conn.closed and not conn.broken:
                list(self._queries.release_group(conn, **self._group))
                conn.commit()

    def knows(self, conn: psycopg.Connection, cluster_id: str) -> bool:
        """Return whether the group has begun to read this cluster."""
        known: bool = self._queries.is_known(
            conn, cluster_id=cluster_id, known_by=self._known_by, **self._group
        )
        return known

    def begin(
        self, conn: psycopg.Connection, cluster_id: str, partitions: Iterable[Partition]
    ) -> None:
        """Begin a cluster's partitions at their first message, and forget other clusters."""
        self._queries.forget_other_clusters(
            conn, cluster_id=cluster_id, **self._group, **self._keyed
        )
        self._begin_partitions(conn, cluster_id, partitions)

    def begin_again(
        self, conn: psycopg.Connection, cluster_id: str, anew: Collection[Partition]
    ) -> None:
        """Forget positions in partitions that were made ``anew``; of keyed topics in all."""
        topics = self._keyed["keyed"]
        if any(topic in topics for topic, _ in anew):
            self._queries.forget_cluster(conn, cluster_id=cluster_id, **self._group, **self._keyed)
        for topic, partition in anew:
            self._queries.begin_anew(
                conn, cluster_id=cluster_id, topic=topic, partition=partition, **self._group
            )

    def rebuilt_whole(self, conn: psycopg.Connection, stream_marks: str) -> bool:
        """Note that every event up to and including the marked ones was counted from its row.

        False, and nothing noted, if events beyond them are noted as such already.
        """
        whole = StreamMarks(stream_marks)
        rows = list(self._queries.marks(conn, **self._group, **self._keyed))
        if any(not whole.reaches(StreamMarks(rebuilt)) for *_, rebuilt in rows):
            return False
        for cluster_id, topic, partition, last, _ in rows:
            marks = StreamMarks(last)
            for outward in stream_marks.split():
                marks.advance(outward)
            self._queries.rebuilt_whole(
                conn,
                last_stream_id=str(marks),
                rebuilt_stream_id=stream_marks,
                cluster_id=cluster_id,
                topic=topic,
                partition=partition,
                **self._group,
            )
        return True

    def skip_up_to(self, conn: psycopg.Connection, stream_marks: str) -> None:
        """Count every event up to and including the marked ones as applied, on every partition."""
        self._queries.skip_up_to(conn, stream_marks=stream_marks, **self._group, **self._keyed)

    def skip_since(self, conn: psycopg.Connection, stream_marks: str, since: datetime) -> None:
        """Count those of them as applied that occurred at ``since`` or later."""
        self._queries.skip_since(
            conn, stream_marks=stream_marks, since=since, **self._group, **self._keyed
        )

    def pending_since(self, conn: psycopg.Connection) -> datetime | None:
        """Return from when on a rebuild's events may still be on their way; None if none are."""
        rows = self._queries.partly_rebuilt(conn, **self._group)
        pending = (
            since
            for read, rebuilt, since in rows
            if not StreamMarks(read).reaches(StreamMarks(rebuilt))
        )
        return min(pending, default=None)

    def _begin_partitions(
        self, conn: psycopg.Connection, cluster_id: str, partitions: Iterable[Partition]
    ) -> None:
        for topic, partition in sorted(partitions):
            self._queries.begin_partition(
                conn, cluster_id=cluster_id, topic=topic, partition=partition, **self._group
            )
