"""The analytics consumer group: events and decisions into hourly rollups, each exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adctl.control.group_reading import Group, GroupReading
from adctl.control.poison import Poison, PoisonError, decode, in_range, require_stream_id
from adctl.decisions import Decision
from adctl.models import Event, EventKind
from adctl.stores.rollups import (
    CandidatesKey,
    Delivery,
    DeliveryKey,
    RequestsKey,
    Rollups,
)
from adctl.streams import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.stores.offsets import PartitionPosition
    from adctl.streams.consumer import IncomingMessage

    Partition = tuple[str, int]

_EVENTS = (topics.WINS, topics.IMPRESSIONS, topics.CLICKS, topics.CONVERSIONS)
ANALYTICS = Group("analytics", topics=(topics.BIDS, *_EVENTS), keyed=_EVENTS)

_COLUMNS = {
    EventKind.WIN: "wins",
    EventKind.LOSS: "losses",
    EventKind.IMPRESSION: "impressions",
    EventKind.CLICK: "clicks",
    EventKind.CONVERSION: "conversions",
}


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

    def add_decision(self, decision: Decision, since: datetime | None = None) -> None:
        """Count a request with its outcome, its bids, and what came of every campaign in it.

        Nothing if it is of before ``since``.
        """
        hour = _hour(decision.decided_at_ms)
        if decision.test or (since is not None and hour < since):
            return
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

    def add_message(self, message: IncomingMessage, since: datetime | None = None) -> None:
        """Count a message; of decisions only those of ``since`` or later.

        One of a newer schema is read as far as it is known. Raises PoisonError if it makes no
        sense, and has counted nothing then.
        """
        if message.topic == topics.BIDS:
            decision = decode(message, Decision)
            with in_range():
                self.add_decision(decision, since)
        else:
            require_stream_id(message)
            event = decode(message, Event)
            with in_range():
                self.add_event(event)


class RollupBuilder:
    """Adds messages to the rollups."""

    def __init__(self) -> None:
        self._rollups = Rollups()

    def add(
        self,
        conn: psycopg.Connection,
        messages: Sequence[IncomingMessage],
        positions: Mapping[Partition, PartitionPosition],
    ) -> list[Poison]:
        """Add to the rollups, as adctl.control.group_reading.Builder says."""
        batch, dead = _aggregate(messages, positions)
        self._rollups.add(conn, batch.delivery, batch.requests, batch.candidates)
        return dead


class Analytics(GroupReading):
    """The group at work."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        bury: Callable[[str, Sequence[Poison]], None],
    ) -> None:
        super().__init__(ANALYTICS, RollupBuilder(), pool, bury)


def _aggregate(
    messages: Iterable[IncomingMessage], positions: Mapping[Partition, PartitionPosition]
) -> tuple[RollupBatch, list[Poison]]:
    batch, dead = RollupBatch(), []
    for message in messages:
        position = positions[message.topic, message.partition]
        since = position.replay_from if position.is_replayed(message.offset) else None
        try:
            batch.add_message(message, since)
        except PoisonError as exc:
            dead.append(Poison(message, exc.reason, str(exc)))
    return batch, dead


def _hour(at_ms: int) -> datetime:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return at.replace(minute=0, second=0, microsecond=0)
