"""Up to where a group has counted everything for certain: only what is newer can be lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.group_progress import GroupProgress
from adctl.stores.offsets import PartitionPosition
from adctl.stores.positions import StreamPositions, relay_reader
from adctl.stores.postgres import postgres_errors
from adctl.stores.stream import ORIGIN
from adctl.stores.stream_marks import StreamMarks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.group_reading import Group

Partition = tuple[str, int]

# Topics are made anew by people, once in a while.
_ANEW_SEC = 30.0


class _Awaited(NamedTuple):
    """Kafka was told of all up to ``marks`` when its partitions ended at ``ends``."""

    marks: str
    ends: Mapping[Partition, int]


class Counted:
    """One group's on one cluster. For one thread. Raises StoreUnavailableError throughout.

    No position in a partition says that it is the end, and one that gets nothing for weeks stays
    where it was. So the relays' positions are read, then where partitions end, and once the group
    is there it has counted all that the relays had told.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        group: Group,
        streams: tuple[str, ...],
        cluster_id: str,
    ) -> None:
        self._pool = pool
        self._cluster_id = cluster_id
        self._positions = [StreamPositions(stream) for stream in streams]
        self._offsets = group.offsets()
        self._keyed = group.keyed
        self._progress = GroupProgress(group.name)
        self._awaited: _Awaited | None = None
        self._counted = StreamMarks()
        self._look_at = 0.0

    def look(
        self, find_ends: Callable[[Iterable[Partition]], Mapping[Partition, int]]
    ) -> list[Partition]:
        """Note what the group has counted by now; return partitions that were made anew.

        ``find_ends`` says where this cluster's partitions end. One that ends before the group has
        been there already has lost its messages, and gets others.
        """
        before, told = self._read()
        news = bool(StreamMarks(told)) and not self._counted.reaches(StreamMarks(told))
        if self._awaited is None and (news or time.monotonic() >= self._look_at):
            ends = find_ends(before)
            self._look_at = time.monotonic() + _ANEW_SEC
            if anew := [place for place, at in before.items() if ends[place] < at]:
                return anew
            if news:
                keyed = {at: end for at, end in ends.items() if at[0] in self._keyed}
                self._awaited = _Awaited(told, keyed)
        if self._awaited is not None:
            self._await(self._awaited)
        return []

    def _await(self, awaited: _Awaited) -> None:
        with postgres_errors("note what was counted"), self._pool.connection() as conn:
            now = self._offsets.read(conn, self._cluster_id)
            if all(
                now.get(place, PartitionPosition()).next_offset >= end
                for place, end in awaited.ends.items()
            ):
                self._note(conn, awaited.marks)

    def _note(self, conn: psycopg.Connection, marks: str) -> None:
        self._awaited, self._counted = None, StreamMarks(marks)
        progress = self._progress.read(conn)
        if progress and self._counted.reaches(StreamMarks(progress.counted_marks)):
            self._progress.counted(conn, self._cluster_id, marks)

    def _read(self) -> tuple[dict[Partition, int], str]:
        reader = relay_reader(self._cluster_id)
        with postgres_errors("read offsets"), self._pool.connection() as conn:
            positions = self._offsets.read(conn, self._cluster_id)
            ids = [
                next((at.last_id for at in stream.read(conn) if at.reader == reader), ORIGIN)
                for stream in self._positions
            ]
        return {at: one.next_offset for at, one in positions.items()}, str(StreamMarks.at(ids))
