"""Where a consumer group goes on reading, kept in the transaction of its results."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.postgres import load_queries
from adctl.stores.stream_marks import StreamMarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        self._queries.announce_change(conn)
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

    def block_changes(self, conn: psycopg.Connection) -> None:
        """Keep every consumer from changing rollups or positions until the transaction ends.

        As the first statement of a transaction that sees one moment only, it makes sure that
        moment is after the last change.
        """
        self._queries.block_changes(conn)

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
