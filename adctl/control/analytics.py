"""The analytics consumer group: events and decisions into hourly rollups, each exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
import psycopg

from adctl.control.dead_letters import Poison
from adctl.control.once import Reading, origin_of
from adctl.decisions import Decision
from adctl.errors import ConflictError
from adctl.models import DeadLetterReason, Event, EventKind
from adctl.stores.offsets import GroupOffsets, PartitionPosition
from adctl.stores.postgres import postgres_errors
from adctl.stores.retries import Retries
from adctl.stores.rollups import (
    CandidatesKey,
    Delivery,
    DeliveryKey,
    RequestsKey,
    Rollups,
)
from adctl.stores.stream_marks import is_outward_id
from adctl.streams import topics
from adctl.streams.schemas import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from psycopg_pool import ConnectionPool

    from adctl.streams.consumer import IncomingMessage

    Partition = tuple[str, int]

_Message = TypeVar("_Message", Decision, Event)

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
    dead: tuple[Poison, ...] = ()
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
            decision = _decode(message, Decision)
            with _in_range():
                self.add_decision(decision, since)
        elif not is_outward_id(message.stream_id):
            raise PoisonError(DeadLetterReason.BAD_HEADER, "no id of an entry of the event stream")
        else:
            event = _decode(message, Event)
            with _in_range():
                self.add_event(event)


class PoisonError(Exception):
    """A message that makes no sense."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Analytics:
    """Applies messages to the rollups. Any number of consumers may run at once.

    ``bury`` puts aside what makes no sense, of a cluster; it returns when that is certain.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        bury: Callable[[str, Sequence[Poison]], None],
    ) -> None:
        self._pool = pool
        self._bury = bury
        self._rollups = Rollups()
        self._offsets = GroupOffsets(GROUP, unkeyed_topic=topics.BIDS)
        self._retries = Retries(GROUP)
        self._rewinds: dict[Partition, int] = {}

    def next_offsets(self, cluster_id: str) -> dict[Partition, int]:
        """Return the next offset of every partition read so far. Raises StoreUnavailableError."""
        with postgres_errors("read offsets"), self._pool.connection() as conn:
            positions = self._offsets.read(conn, cluster_id)
        self._rewinds = {place: position.rewinds for place, position in positions.items()}
        return {place: position.next_offset for place, position in positions.items()}

    def apply(self, cluster_id: str, messages: Sequence[IncomingMessage]) -> AppliedBatch:
        """Add messages to the rollups and move their offsets, in one transaction.

        Messages that have been counted before, whoever did, are skipped (adctl.control.once);
        within a partition ``messages`` must be in the order of their offsets. What makes no sense
        is buried before the offsets move. Raises StoreUnavailableError, and then nothing has
        changed (but a message may be buried twice); ConflictError if the group was rewound since
        ``next_offsets`` was asked.
        """
        with postgres_errors("write rollups"), self._pool.connection() as conn:
            touched = {(message.topic, message.partition) for message in messages}
            positions = self._offsets.lock(conn, cluster_id, touched)
            self._require_not_rewound(positions, touched)
            before = dict(positions)
            retried = self._retries.find(conn, _origins(cluster_id, positions, messages))
            reading = Reading(cluster_id, positions, retried)
            fresh = [message for message in messages if reading.take(message)]
            dead = self._add(conn, fresh, before)
            self._keep_retries(conn, fresh, dead)
            moved = {partition: positions[partition] for partition in touched}
            self._offsets.advance(conn, cluster_id, moved)
            if dead:
                self._bury(cluster_id, dead)
        return AppliedBatch(
            len(fresh) - len(dead),
            len(messages) - len(fresh),
            tuple(dead),
            {partition: position.next_offset for partition, position in moved.items()},
        )

    def _require_not_rewound(
        self, positions: Mapping[Partition, PartitionPosition], touched: Iterable[Partition]
    ) -> None:
        # What comes now comes from behind the place to go on from, and would move the group there.
        for place in touched:
            if positions[place].rewinds != self._rewinds.get(place, 0):
                raise ConflictError("the consumer group was rewound: reading begins anew")

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
        positions: Mapping[Partition, PartitionPosition],
    ) -> list[Poison]:
        batch, dead = _aggregate(messages, positions)
        try:
            with conn.transaction():
                self._rollups.add(conn, batch.delivery, batch.requests, batch.candidates)
        except psycopg.DataError as exc:
            # A number or a text no column can hold. Halving finds whose it is.
            if len(messages) == 1:
                return [Poison(messages[0], DeadLetterReason.OUT_OF_RANGE, str(exc))]
            middle = len(messages) // 2
            return self._add(conn, messages[:middle], positions) + self._add(
                conn, messages[middle:], positions
            )
        return dead


def _origins(
    cluster_id: str,
    positions: Mapping[Partition, PartitionPosition],
    messages: Iterable[IncomingMessage],
) -> set[str]:
    """Return the origins by which a message may have been counted."""
    return {
        origin_of(cluster_id, message)
        for message in messages
        if message.retried_from
        or positions[message.topic, message.partition].is_replayed(message.offset)
    }


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


def _decode(message: IncomingMessage, of: type[_Message]) -> _Message:
    version = message.schema_version or "1"
    if not (version.isdecimal() and version.isascii()) or len(version) > 9:
        raise PoisonError(DeadLetterReason.BAD_HEADER, f"schema_version {version!r} is no number")
    try:
        return msgspec.json.decode(message.value, type=of)
    except msgspec.ValidationError as exc:
        newer = int(version) > version_of(message.topic)
        reason = DeadLetterReason.NEWER_SCHEMA if newer else DeadLetterReason.WRONG_SHAPE
        raise PoisonError(reason, str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise PoisonError(DeadLetterReason.NOT_JSON, str(exc)) from exc


@contextmanager
def _in_range() -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError, OSError) as exc:
        raise PoisonError(DeadLetterReason.OUT_OF_RANGE, str(exc)) from exc


def _hour(at_ms: int) -> datetime:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return at.replace(minute=0, second=0, microsecond=0)
