"""The analytics consumer group: events and decisions into hourly rollups, each exactly once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from adctl.control.group_reading import Group, GroupReading
from adctl.control.poison import Poison, PoisonError, decode, in_range, require_stream_id
from adctl.decisions import Decision
from adctl.delivery.landscape import price_bucket
from adctl.models import Event, EventKind
from adctl.stores.rollups import (
    Additions,
    CandidatesKey,
    DeliveryKey,
    LandscapeKey,
    RequestsKey,
    Rollups,
)
from adctl.streams import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.once import Rebuilt
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


_MS_PER_HOUR = 3_600_000


class RollupBatch:
    """What a batch of messages adds to the rollups. Test traffic adds nothing."""

    def __init__(self) -> None:
        self.additions = Additions()

    def add_message(
        self, message: IncomingMessage, since: datetime | None, rebuilt: Rebuilt
    ) -> None:
        """Count a message; of decisions only those of ``since`` or later.

        Events that ``rebuilt`` covers do not count. One of a newer schema is read as far as it is
        known. Raises PoisonError if it makes no sense, and has counted nothing then.
        """
        if message.topic == topics.BIDS:
            decision = decode(message, Decision)
            with in_range():
                self.add_decision(decision, since)
            return
        require_stream_id(message)
        event = decode(message, Event)
        with in_range():
            at_ms = event.occurred_at_ms
            hour_ms = at_ms - at_ms % _MS_PER_HOUR
            if not rebuilt.covers(message.stream_id, at_ms, hour_ms):
                self.add_event(event)

    def add_event(self, event: Event) -> None:
        """Count an event in the hour it occurred; spend is whatever cost an event carries."""
        column = _COLUMNS.get(event.kind)
        if event.test or not (column or event.cost_nanos):
            return
        hour = _hour(event.occurred_at_ms)
        row = self.additions.delivery[
            DeliveryKey(
                hour,
                event.campaign_id,
                event.creative_id,
                event.exchange,
                event.site,
                event.country,
                event.device,
            )
        ]
        if column:
            column = "view_conversions" if event.attribution == "view" else column
            setattr(row, column, getattr(row, column) + 1)
        row.spend_nanos += event.cost_nanos
        row.value_nanos += event.value_nanos or 0
        if event.kind in (EventKind.WIN, EventKind.LOSS):
            self._add_to_landscape(event, hour)

    def _add_to_landscape(self, event: Event, hour: datetime) -> None:
        bucket = price_bucket(event.bid_cpm_micros)
        key = LandscapeKey(hour, event.exchange, event.country, event.device, bucket)
        row = self.additions.landscape[key]
        if event.kind is EventKind.WIN:
            row.wins += 1
            row.paid_micros += event.price_cpm_micros
        else:
            row.losses += 1
        if event.min_to_win_micros is not None:
            row.min_to_win_micros += event.min_to_win_micros
            row.min_to_win_told += 1

    def add_decision(self, decision: Decision, since: datetime | None = None) -> None:
        """Count a request with its outcome, its bids, and what came of every campaign in it.

        Nothing if it is of before ``since``.
        """
        hour = _hour(decision.decided_at_ms)
        if decision.test or (since is not None and hour < since):
            return
        where = (decision.domain, decision.country, decision.device)
        exchange, additions = decision.exchange, self.additions
        reason = "" if decision.bid else decision.reason
        additions.requests[RequestsKey(hour, exchange, reason)] += 1
        for imp in decision.imps:
            if imp.winner:
                key = DeliveryKey(hour, imp.winner, imp.creative_id, exchange, *where)
                additions.delivery[key].bids += 1
                bucket = price_bucket(imp.price_cpm_micros)
                additions.landscape[LandscapeKey(hour, exchange, *where[1:], bucket)].bids += 1
            for candidate in (*imp.candidates, *imp.passed_over):
                outcome = candidate.reason or "won"
                about = CandidatesKey(hour, candidate.campaign_id, exchange, outcome)
                row = additions.candidates[about]
                row.candidates += 1
                if candidate.cut_micros:
                    row.capped += 1
                    row.cut_micros += candidate.cut_micros
        for look in decision.looks:
            about = CandidatesKey(hour, look.campaign_id, exchange, look.reason, sampled=True)
            additions.candidates[about].candidates += 1


class RollupBuilder:
    """Adds messages to the rollups."""

    def __init__(self) -> None:
        self._rollups = Rollups()

    def add(
        self,
        conn: psycopg.Connection,
        messages: Sequence[IncomingMessage],
        positions: Mapping[Partition, PartitionPosition],
        rebuilt: Rebuilt,
    ) -> list[Poison]:
        """Add to the rollups, as adctl.control.group_reading.Builder says."""
        batch, dead = _aggregate(messages, positions, rebuilt)
        self._rollups.add(conn, batch.additions)
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
    messages: Iterable[IncomingMessage],
    positions: Mapping[Partition, PartitionPosition],
    rebuilt: Rebuilt,
) -> tuple[RollupBatch, list[Poison]]:
    batch, dead = RollupBatch(), []
    for message in messages:
        position = positions[message.topic, message.partition]
        since = position.replay_from if position.is_replayed(message.offset) else None
        try:
            batch.add_message(message, since, rebuilt)
        except PoisonError as exc:
            dead.append(Poison(message, exc.reason, str(exc)))
    return batch, dead


def _hour(at_ms: int) -> datetime:
    return _hour_of(at_ms // _MS_PER_HOUR)


@lru_cache(maxsize=1000)
def _hour_of(hours: int) -> datetime:
    return datetime.fromtimestamp(hours * 3600, UTC)
