"""The analytics consumer group: events and decisions into hourly rollups, each exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import psycopg

from adctl.models import Decision, Event, EventKind
from adctl.stores.offsets import GroupOffsets, PartitionPosition
from adctl.stores.postgres import postgres_errors
from adctl.stores.rollups import (
    CandidatesKey,
    Delivery,
    DeliveryKey,
    RequestsKey,
    Rollups,
)
from adctl.stores.stream_marks import StreamMarks, is_outward_id
from adctl.streams import topics
from adctl.streams.consumer import IncomingMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg_pool import ConnectionPool

    Partition = tuple[str, int]

GROUP = "analytics"
TOPICS = (topics.BIDS, topics.WINS, topics.IMPRESSIONS, topics.CLICKS, topics.CONVERSIONS)

_COLUMNS = {
    EventKind.WIN: "wins",
    EventKind.LOSS: "losses",
    EventKind.IMPRESSION: "impressions",
    EventKind.CLICK: "clicks",
    EventKind.CONVERSION: "conversions",
}


class AppliedBatch(msgspec.Struct, frozen=True):
    """What became of a batch of messages."""

    applied: int = 0
    skipped: int = 0
    undecodable: tuple[IncomingMessage, ...] = ()
    next_offsets: dict[Partition, int] = {}


class RollupBatch:
    """What a batch of messages adds to the rollups. Test traffic adds nothing."""

    def __init__(self) -> None:
        self.delivery: defaultdict[DeliveryKey, Delivery] = defaultdict(Delivery)
        self.requests: Counter[RequestsKey] = Counter()
        self.candidates: Counter[CandidatesKey] = Counter()

    def add_event(self, event: Event) -> None:
        """Count an event in the hour it occurred; spend is whatever cost an event carries."""
        column = _COLUMNS.get(event.kind)
        if event.test or not (column or event.cost_nanos):
            return
        row = self.delivery[
            DeliveryKey(
                _hour(event.occurred_at_ms), event.campaign_id, event.creative_id, event.exchange
            )
        ]
        if column:
            setattr(row, column, getattr(row, column) + 1)
        row.spend_nanos += event.cost_nanos

    def add_decision(self, decision: Decision) -> None:
        """Count a request with its outcome, its bids, and what came of every campaign in it."""
        if decision.test:
            return
        hour = _hour(decision.decided_at_ms)
        reason = "" if decision.bid else decision.reason
        self.requests[RequestsKey(hour, decision.exchange, reason)] += 1
        for imp in decision.imps:
            if imp.winner:
                key = DeliveryKey(hour, imp.winner, imp.creative_id, decision.exchange)
                self.delivery[key].bids += 1
            for candidate in (*imp.candidates, *imp.passed_over):
                outcome = candidate.reason or "won"
                campaign_id = candidate.campaign_id
                self.candidates[CandidatesKey(hour, campaign_id, decision.exchange, outcome)] += 1

        for look in decision.looks:
            about = (hour, look.campaign_id, decision.exchange, look.reason)
            self.candidates[CandidatesKey(*about, sampled=True)] += 1

    def add_message(self, message: IncomingMessage) -> None:
        """Count a message. Raises msgspec.MsgspecError or ValueError if it makes no sense."""
        if message.topic == topics.BIDS:
            self.add_decision(msgspec.json.decode(message.value, type=Decision))
        elif not is_outward_id(message.stream_id):
            raise ValueError("an event without the id of its stream entry")
        else:
            self.add_event(msgspec.json.decode(message.value, type=Event))


class Analytics:
    """Applies messages to the rollups. Any number of consumers may run at once."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self._pool = pool
        self._rollups = Rollups()
        self._offsets = GroupOffsets(GROUP, unkeyed_topic=topics.BIDS)

    def next_offsets(self, cluster_id: str) -> dict[Partition, int]:
        """Return the next offset of every partition read so far. Raises StoreUnavailableError."""
        with postgres_errors("read offsets"), self._pool.connection() as conn:
            positions = self._offsets.read(conn, cluster_id)
        return {partition: position.next_offset for partition, position in positions.items()}

    def apply(self, cluster_id: str, messages: Sequence[IncomingMessage]) -> AppliedBatch:
        """Add messages to the rollups and move their offsets, in one transaction.

        Messages whose offset or stream id has been applied before are skipped, whoever applied
        them; within a partition ``messages`` must be in the order of their offsets. Raises
        StoreUnavailableError, and then nothing has changed.
        """
        with postgres_errors("write rollups"), self._pool.connection() as conn:
            touched = {(message.topic, message.partition) for message in messages}
            positions = self._offsets.lock(conn, cluster_id, touched)
            fresh = _advance(positions, messages)
            undecodable = self._add(conn, fresh)
            moved = {partition: positions[partition] for partition in touched}
            self._offsets.advance(conn, cluster_id, moved)
        return AppliedBatch(
            len(fresh) - len(undecodable),
            len(messages) - len(fresh),
            tuple(undecodable),
            {partition: position.next_offset for partition, position in moved.items()},
        )

    def _add(
        self, conn: psycopg.Connection, messages: Sequence[IncomingMessage]
    ) -> list[IncomingMessage]:
        batch, undecodable = _aggregate(messages)
        try:
            with conn.transaction():
                self._rollups.add(conn, batch.delivery, batch.requests, batch.candidates)
        except psycopg.DataError:
            # A number or a text no column can hold. Halving finds whose it is.
            if len(messages) == 1:
                return list(messages)
            middle = len(messages) // 2
            return self._add(conn, messages[:middle]) + self._add(conn, messages[middle:])
        return undecodable


def _advance(
    positions: dict[Partition, PartitionPosition], messages: Iterable[IncomingMessage]
) -> list[IncomingMessage]:
    """Move ``positions`` past ``messages``; return those that had not been applied."""
    fresh = []
    marks: dict[Partition, StreamMarks] = {}
    for message in messages:
        partition = (message.topic, message.partition)
        position = positions[partition]
        if message.offset < position.next_offset:
            continue
        if partition not in marks:
            marks[partition] = StreamMarks(position.stream_marks)
        if not is_outward_id(message.stream_id) or marks[partition].advance(message.stream_id):
            fresh.append(message)
        positions[partition] = position._replace(next_offset=message.offset + 1)
    for partition, reached in marks.items():
        positions[partition] = positions[partition]._replace(stream_marks=str(reached))
    return fresh


def _aggregate(
    messages: Iterable[IncomingMessage],
) -> tuple[RollupBatch, list[IncomingMessage]]:
    batch, undecodable = RollupBatch(), []
    for message in messages:
        try:
            batch.add_message(message)
        except (msgspec.MsgspecError, ValueError, OverflowError):
            undecodable.append(message)
    return batch, undecodable


def _hour(at_ms: int) -> datetime:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return at.replace(minute=0, second=0, microsecond=0)
