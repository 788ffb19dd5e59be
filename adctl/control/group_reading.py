"""What every consumer group does around its own work: each message once, or a dead letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
import psycopg

from adctl.control.once import Reading, Rebuilt, origin_of
from adctl.control.poison import Poison
from adctl.errors import ConflictError
from adctl.models import DeadLetterReason
from adctl.stores.group_progress import GroupProgress
from adctl.stores.offsets import GroupOffsets, PartitionPosition
from adctl.stores.postgres import postgres_errors
from adctl.stores.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from psycopg_pool import ConnectionPool

    from adctl.streams.consumer import IncomingMessage

    Partition = tuple[str, int]
    Positions = Mapping[Partition, PartitionPosition]


class Group(NamedTuple):
    """A consumer group: what it reads.

    ``keyed`` are those of its topics whose messages have stream ids, which tell a repeat from news
    on whatever cluster; of the others only offsets do, so that they outlive a change of clusters.
    """

    name: str
    topics: tuple[str, ...]
    keyed: tuple[str, ...]

    def offsets(self) -> GroupOffsets:
        """Return what keeps the group's offsets."""
        return GroupOffsets(self.name, self.keyed, known_by=self.keyed or self.topics)


class Builder(Protocol):
    """What one group makes of its messages."""

    def add(
        self,
        conn: psycopg.Connection,
        messages: Sequence[IncomingMessage],
        positions: Positions,
        rebuilt: Rebuilt,
    ) -> list[Poison]:
        """Write what messages come to, in the connection's transaction; return those of no sense.

        ``positions`` are those of before the batch; what is ``rebuilt`` has counted.
        psycopg.DataError says that a value fits no column: the messages are then given again, in
        halves.
        """


class AppliedBatch(msgspec.Struct, frozen=True):
    """What became of a batch of messages."""

    applied: int = 0
    skipped: int = 0
    dead: tuple[Poison, ...] = ()
    next_offsets: dict[tuple[str, int], int] = {}


class GroupReading:
    """Applies a group's messages. Any number of consumers may run at once.

    ``bury`` puts aside what makes no sense, of a cluster; it returns when that is certain.
    """

    def __init__(
        self,
        group: Group,
        builder: Builder,
        pool: ConnectionPool[psycopg.Connection],
        bury: Callable[[str, Sequence[Poison]], None],
    ) -> None:
        self.group = group
        self._builder = builder
        self._pool = pool
        self._bury = bury
        self._offsets = group.offsets()
        self._retries = Retries(group.name)
        self._progress = GroupProgress(group.name)
        self._rewinds: dict[Partition, int] = {}

    def next_offsets(self, cluster_id: str) -> dict[Partition, int]:
        """Return the next offset of every partition read so far. Raises StoreUnavailableError."""
        with postgres_errors("read offsets"), self._pool.connection() as conn:
            positions = self._offsets.read(conn, cluster_id)
        self._rewinds = {place: position.rewinds for place, position in positions.items()}
        return {place: position.next_offset for place, position in positions.items()}

    def apply(self, cluster_id: str, messages: Sequence[IncomingMessage]) -> AppliedBatch:
        """Write what messages come to and move their offsets, in one transaction.

        Messages that have been counted before, whoever did, are skipped (adctl.control.once);
        within a partition ``messages`` must be in the order of their offsets. What makes no sense
        is buried before the offsets move. Raises StoreUnavailableError, and then nothing has
        changed (but a message may be buried twice); ConflictError if the group was rewound since
        ``next_offsets`` was asked, or has gone on to another cluster.
        """
        with postgres_errors(f"write for {self.group.name}"), self._pool.connection() as conn:
            touched = {(message.topic, message.partition) for message in messages}
            positions = self._offsets.lock(conn, cluster_id, touched)
            self._require_not_rewound(positions, touched)
            self._require_still_read(conn, cluster_id)
            rebuilt = Rebuilt(positions.values(), self._progress.rebuilt(conn))
            retried = self._retries.find(conn, _origins(cluster_id, positions, messages))
            reading = Reading(self.group.name, cluster_id, positions, retried)
            fresh = [message for message in messages if reading.take(message)]
            dead = self._add(conn, fresh, positions, rebuilt)
            self._keep_retries(conn, fresh, dead)
            moved = {place: reading.moved(place) for place in touched}
            self._offsets.advance(conn, cluster_id, moved)
            if dead:
                self._note_missing(conn, dead)
                self._bury(cluster_id, dead)
        return AppliedBatch(
            len(fresh) - len(dead),
            len(messages) - len(fresh),
            tuple(dead),
            {partition: position.next_offset for partition, position in moved.items()},
        )

    def _require_not_rewound(self, positions: Positions, touched: Iterable[Partition]) -> None:
        # What comes now comes from behind the place to go on from, and would move the group there.
        for place in touched:
            if positions[place].rewinds != self._rewinds.get(place, 0):
                raise ConflictError("the consumer group was rewound: reading begins anew")

    def _require_still_read(self, conn: psycopg.Connection, cluster_id: str) -> None:
        # What the last cluster said has been counted from PostgreSQL's rows.
        progress = self._progress.read(conn)
        if progress is not None and progress.cluster_id != cluster_id:
            raise ConflictError("the consumer group has gone on to another Kafka cluster")

    def _note_missing(self, conn: psycopg.Connection, dead: Iterable[Poison]) -> None:
        # If the letter is gone with its cluster, the event is found by what its hour lacks.
        if any(poison.message.topic in self.group.keyed for poison in dead):
            self._progress.incomplete(conn)

    def _keep_retries(
        self, conn: psycopg.Connection, fresh: Iterable[IncomingMessage], dead: Iterable[Poison]
    ) -> None:
        in_vain = {poison.message for poison in dead}
        counted = {
            message.retried_from: (message.partition, message.offset)
            for message in fresh
            if message.retried_from and message not in in_vain
        }
        self._retries.record(conn, counted)

    def _add(
        self,
        conn: psycopg.Connection,
        messages: Sequence[IncomingMessage],
        positions: Positions,
        rebuilt: Rebuilt,
    ) -> list[Poison]:
        if not messages:
            return []
        try:
            with conn.transaction():
                return self._builder.add(conn, messages, positions, rebuilt)
        except psycopg.DataError as exc:
            # A number or a text no column can hold. Halving finds whose it is.
            if len(messages) == 1:
                return [Poison(messages[0], DeadLetterReason.OUT_OF_RANGE, str(exc))]
            middle = len(messages) // 2
            halves = (messages[:middle], messages[middle:])
            return [
                poison for half in halves for poison in self._add(conn, half, positions, rebuilt)
            ]


def _origins(
    cluster_id: str, positions: Positions, messages: Iterable[IncomingMessage]
) -> set[str]:
    """Return the origins by which a message may have been counted."""
    return {
        origin_of(cluster_id, message)
        for message in messages
        if message.retried_from
        or positions[message.topic, message.partition].is_replayed(message.offset)
    }
