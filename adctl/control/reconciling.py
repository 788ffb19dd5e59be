"""Redis, PostgreSQL and Kafka held against each other, campaign by campaign, and mended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog

from adctl.control import invariants
from adctl.control.flushing import partitions_needed
from adctl.control.proving import Prover
from adctl.control.publishing import mend_budgets
from adctl.models import Event
from adctl.money import format_nanos
from adctl.stores.event_rows import EventRow
from adctl.stores.events import EventStore
from adctl.stores.positions import POSTGRES, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.stream import event_streams, id_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.control.invariants import Breach
    from adctl.streams.consumer import IncomingMessage

    Batches = Iterable[Sequence[IncomingMessage]]

log = structlog.get_logger()

_RESTORED = "PostgreSQL was restored to the past"
_LEDGER_LOST = "PostgreSQL has lost events that Kafka has"
_TWICE = "Redis counted what no event tells of: a repeat after it forgot the first, or lost events"
_REDIS_LOST = "Redis has lost spend: it was restored to the past"
_DAMAGED = "the money state in Redis is damaged"
_UNTOLD = "a change of the budget has not reached Redis"
_GONE = "Redis has no money state"
_REJECTED = "PostgreSQL refused events: look at `adctl rejected list`, then put them back"
_UNBALANCED = "the ledger does not balance: look at it by hand"

_STORE = "store and book them"
_MAKE_ANEW = "make its money anew from ledger, stream and reservations"
_GO_ON = "go on behind what Kafka brings back"

_CAUSES = {
    invariants.STREAM: _RESTORED,
    invariants.STATE: _GONE,
    invariants.CONFIGURED: _UNTOLD,
    invariants.ENTRIES: _UNBALANCED,
    invariants.REJECTED: _REJECTED,
}


class Difference(NamedTuple):
    """Something two stores disagree on; ``repair`` says what mends it ('' if a person has to)."""

    campaign_id: int
    campaign: str
    what: str
    expected: str
    found: str
    cause: str
    repair: str

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return {**self._asdict(), "campaign_id": self.campaign_id or None}


class Lost(NamedTuple):
    """The events of one campaign that Kafka has and PostgreSQL has not, and what they cost."""

    events: int = 0
    cost_nanos: int = 0


class Reconciler:
    """Compares the three stores. Safe beside running daemons; only ``repair`` changes anything."""

    def __init__(
        self, pool: ConnectionPool[psycopg.Connection], client: redis.Redis, shards: int = 1
    ) -> None:
        self._pool = pool
        self._streams = event_streams(client, shards)
        self._prover = Prover(pool, client, shards)
        self._budgets = open_budgets(client, shards)
        self._events = EventStore()
        self._queries = load_queries("queries/proof.sql")
        self._decode = msgspec.json.Decoder(Event).decode

    def compare(self, batches: Batches) -> list[Difference]:
        """Return every difference; ``batches`` are the event topics' messages, oldest first.

        Raises StoreUnavailableError.
        """
        lost: dict[int, Lost] = {}
        for missing in self._missing(batches):
            _add(lost, missing)
        return self._differences(lost)

    def repair(self, batches: Batches, actor: str) -> list[Difference]:
        """Mend what can be mended, and return what was wrong; each repair has its audit row.

        Events that only Kafka has are stored and booked; then the money of campaigns that still
        differ is made anew from the ledger, the stream and what is reserved. Raises
        StoreUnavailableError; repeating it is safe.
        """
        lost: dict[int, Lost] = {}
        for missing in self._missing(batches):
            _add(lost, missing)
            self._store(missing)
        differences = self._differences(lost)
        if any(found.cause == _RESTORED for found in differences):
            self._catch_up()
            differences += self._differences({})
        self._record(lost, actor)
        self._mend(differences, actor)
        return differences

    def _differences(self, lost: dict[int, Lost]) -> list[Difference]:
        proof = self._prover.prove()
        names = self._names()
        found = [
            Difference(
                campaign_id,
                names.get(campaign_id, ""),
                "events",
                f"{missing.events} events, {format_nanos(missing.cost_nanos)}",
                "not in PostgreSQL",
                _LEDGER_LOST,
                _STORE,
            )
            for campaign_id, missing in sorted(lost.items())
        ]
        return found + [_difference(breach) for breach in proof.breaches]

    def _missing(self, batches: Batches) -> Iterator[list[tuple[str, Event]]]:
        """Yield the (stream id, event) that Kafka has and PostgreSQL has not.

        The relay sends what PostgreSQL has confirmed, so nothing may be missing at all.
        """
        counted: set[str] = set()  # the relay may have sent an event twice
        for batch in batches:
            events = [
                (message.stream_id, event)
                for message in batch
                if (event := self._event(message)) is not None
            ]
            with postgres_errors("look events up"), self._pool.connection() as conn:
                stored = self._events.stored_ids(conn, [event for _, event in events])
            stored |= counted
            missing = [(at, event) for at, event in events if event.event_id not in stored]
            if missing:
                counted |= {event.event_id for _, event in missing}
                yield missing

    def _event(self, message: IncomingMessage) -> Event | None:
        try:
            return self._decode(message.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            log.warning(
                "a message is no event",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
            )
            return None

    def _store(self, missing: Sequence[tuple[str, Event]]) -> None:
        with postgres_errors("store events"), self._pool.connection() as conn, conn.transaction():
            rows = [EventRow.of(stream_id, event) for stream_id, event in missing]
            self._events.make_partitions(conn, partitions_needed(rows))
            self._events.store(conn, rows, stream=None)

    def _catch_up(self) -> None:
        """Let the flusher go on after what the stream has forgotten: Kafka's part is stored."""
        with postgres_errors("move on"), self._pool.connection() as conn, conn.transaction():
            for stream in self._streams:
                positions = StreamPositions(stream.key)
                position, trimmed_id = positions.lock_postgres(conn), stream.trimmed_id()
                if id_order(position) < id_order(trimmed_id):
                    positions.advance(conn, POSTGRES, trimmed_id)

    def _record(self, lost: dict[int, Lost], actor: str) -> None:
        with postgres_errors("write the audit"), self._pool.connection() as conn:
            for campaign_id, missing in lost.items():
                self._queries.record_repair(
                    conn,
                    actor=actor,
                    campaign_id=campaign_id,
                    before=None,
                    after=_json(
                        {
                            "events": missing.events,
                            "booked": format_nanos(missing.cost_nanos),
                            "from": "kafka",
                        }
                    ),
                )

    def _mend(self, differences: Sequence[Difference], actor: str) -> None:
        wanted = {found.campaign_id for found in differences if found.repair == _MAKE_ANEW}
        before = self._budgets.read(wanted)
        with postgres_errors("mend budgets"), self._pool.connection() as conn, conn.transaction():
            # No flusher moves on meanwhile: the ledger and the streams are of one moment.
            for stream in self._streams:
                StreamPositions(stream.key).lock_postgres(conn)
            mend_budgets(conn, self._budgets, sorted(wanted), datetime.now(UTC), regardless=True)
            for campaign_id, state in self._budgets.read(wanted).items():
                self._queries.record_repair(
                    conn,
                    actor=actor,
                    campaign_id=campaign_id,
                    before=_json(before.get(campaign_id)),
                    after=_json(state),
                )

    def _names(self) -> dict[int, str]:
        with postgres_errors("read campaigns"), self._pool.connection() as conn:
            return {of[0]: of[1] for of in self._queries.campaigns(conn)}


def _difference(breach: Breach) -> Difference:
    cause = _CAUSES.get(breach.invariant, _DAMAGED)
    if breach.invariant == invariants.BOOKED:
        more = isinstance(breach.found, int) and breach.found > int(breach.expected)
        cause = _TWICE if more else _REDIS_LOST
    fields = breach.fields()
    by_campaign = breach.campaign_id and cause != _REJECTED
    repair = _MAKE_ANEW if by_campaign else _GO_ON if cause == _RESTORED else ""
    return Difference(
        breach.campaign_id,
        breach.campaign,
        breach.invariant,
        str(fields["expected"]),
        str(fields["found"]),
        cause,
        repair,
    )


def _add(lost: dict[int, Lost], missing: Sequence[tuple[str, Event]]) -> None:
    for _, event in missing:
        of = lost.get(event.campaign_id, Lost())
        lost[event.campaign_id] = Lost(of.events + 1, of.cost_nanos + event.cost_nanos)


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
