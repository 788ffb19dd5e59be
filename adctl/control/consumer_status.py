"""How far consumer groups have read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.offsets import PartitionPosition
from adctl.stores.postgres import postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.group_reading import Group
    from adctl.streams.places import Extent, PartitionPlaces

    Partition = tuple[str, int]


class PartitionStatus(NamedTuple):
    """How far a group has read one partition.

    ``offset`` is the next to read, ``end`` that of the next message to come, ``age_sec`` how long
    the oldest unread message has been there; None if there is none. ``replayed_until`` is the
    offset up to which it reads again what it had read before a rewind.
    """

    group: str
    topic: str
    partition: int
    offset: int
    end: int
    lag: int
    age_sec: int | None
    replayed_until: int | None

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return self._asdict()


class GroupStatus:
    """Groups as an operator sees them on one cluster. Raises StoreUnavailableError throughout."""

    def __init__(
        self, pool: ConnectionPool[psycopg.Connection], places: PartitionPlaces, cluster_id: str
    ) -> None:
        self._pool = pool
        self._places = places
        self._cluster_id = cluster_id

    def read(self, groups: Iterable[Group], now: datetime) -> list[PartitionStatus]:
        """Return how far each group has read every partition of its topics."""
        return [status for group in groups for status in self._of(group, now)]

    def _of(self, group: Group, now: datetime) -> list[PartitionStatus]:
        with postgres_errors("read offsets"), self._pool.connection() as conn:
            positions = group.offsets().read(conn, self._cluster_id)
        extents = self._places.extents(group.topics)
        starts = {
            place: max(positions.get(place, PartitionPosition()).next_offset, extent.begin)
            for place, extent in extents.items()
        }
        unread = {at: start for at, start in starts.items() if start < extents[at].end}
        sent_at_ms = self._places.sent_at_ms(unread)
        return [
            _status(
                group.name,
                place,
                start,
                positions.get(place),
                extents[place],
                _age_sec(sent_at_ms.get(place), now),
            )
            for place, start in starts.items()
        ]


def _age_sec(sent_at_ms: int | None, now: datetime) -> int | None:
    if sent_at_ms is None:
        return None
    return max(int(now.timestamp() * 1000) - sent_at_ms, 0) // 1000


def _status(
    group: str,
    place: Partition,
    start: int,
    position: PartitionPosition | None,
    extent: Extent,
    age_sec: int | None,
) -> PartitionStatus:
    replaying = position is not None and position.replaying
    return PartitionStatus(
        group,
        *place,
        offset=start,
        end=extent.end,
        lag=max(extent.end - start, 0),
        age_sec=age_sec,
        replayed_until=position.replay_until if position is not None and replaying else None,
    )
