"""Reading decisions again from a moment on, so that the rollups count them anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.control.analytics import ANALYTICS
from adctl.errors import ConflictError
from adctl.stores.rollups import Rollups
from adctl.streams import topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.control.rebuilding import RollupRebuilder
    from adctl.stores.offsets import PartitionPosition
    from adctl.streams.places import Extent, PartitionPlaces

    Partition = tuple[str, int]

# Decisions are sent right after they are made; that much the clocks of bidders may differ.
_CLOCKS = timedelta(minutes=10)
_HOUR = timedelta(hours=1)


class RewoundPartition(NamedTuple):
    """What a rewind does about one partition."""

    topic: str
    partition: int
    offset: int
    rewound_to: int | None
    how: str

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return self._asdict()


class AnalyticsRewind:
    """Takes the analytics group back. Raises StoreUnavailableError throughout."""

    def __init__(
        self, rebuilder: RollupRebuilder, places: PartitionPlaces, cluster_id: str
    ) -> None:
        self._rebuilder = rebuilder
        self._places = places
        self._cluster_id = cluster_id
        self._offsets = ANALYTICS.offsets()
        self._rollups = Rollups()

    def rewind(self, since: datetime, *, dry_run: bool = False) -> list[RewoundPartition]:
        """Count everything again that is of ``since``, the beginning of an hour, or later.

        In one transaction, undone if ``dry_run``, what decisions added to those hours is taken out
        and the group's offsets of decisions go back; what they had added to earlier hours is not
        added again. What events add to those hours is made anew from the event table. Consumers at
        work notice, and begin anew. While an earlier replay is under way, it goes back to the
        earlier of both moments. Raises ConflictError if Kafka no longer has every decision since.
        """
        extents = self._places.extents([topics.BIDS])
        with self._rebuilder.one_moment() as conn:
            positions = self._offsets.read(conn, self._cluster_id)
            decisions = {place: positions[place] for place in extents if place in positions}
            under_way = [at.replay_from for at in decisions.values() if at.replaying]
            since = min([since, *(moment for moment in under_way if moment is not None)])
            self._require_all_since(conn, since, extents)
            rewound = {
                place: position.rewound(self._start(place, since, extents[place]), since)
                for place, position in decisions.items()
            }
            self._rollups.forget_decisions(conn, since)
            self._offsets.rewind(conn, self._cluster_id, rewound)
            self._rebuilder.rebuild_in(conn, since)
            if dry_run:
                raise psycopg.Rollback
        return [
            _rewound(place, positions[place], rewound.get(place)) for place in sorted(positions)
        ]

    def _start(self, place: Partition, since: datetime, extent: Extent) -> int:
        return self._places.offset_at(place, _ms(since - _CLOCKS), extent)

    def _require_all_since(
        self, conn: psycopg.Connection, since: datetime, extents: Mapping[Partition, Extent]
    ) -> None:
        begins = {place: of.begin for place, of in extents.items() if of.end > of.begin}
        first_ms = self._places.sent_at_ms(begins)
        forgotten = [
            _moment(first_ms[place]) if place in first_ms else None
            for place, extent in extents.items()
            if extent.begin and _ms(since) <= first_ms.get(place, _ms(since))
        ]
        if forgotten:
            told = max((moment for moment in forgotten if moment), default=None)
            raise ConflictError(
                f"Kafka no longer holds every decision since {since.isoformat()}"
                + (f"; from {_next_hour(told).isoformat()} on it does" if told else "")
            )
        # What was read from a cluster that was replaced cannot be read again.
        if self._offsets.is_elsewhere(conn, self._cluster_id):
            began = _moment(min(first_ms.values())) if first_ms else None
            if began is None or since < began:
                raise ConflictError(
                    "decisions since then were read from another Kafka cluster"
                    + (
                        f"; this one has all from {_next_hour(began).isoformat()} on"
                        if began
                        else ""
                    )
                )


def _rewound(
    place: Partition, before: PartitionPosition, after: PartitionPosition | None
) -> RewoundPartition:
    how = "rebuilt from PostgreSQL" if after is None else "read again"
    return RewoundPartition(
        *place, before.next_offset, None if after is None else after.next_offset, how
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _next_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + _HOUR
