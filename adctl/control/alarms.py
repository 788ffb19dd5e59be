"""Alarms on their way from the pacer's looks to PostgreSQL, and from there to Kafka: each once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.alarms import Alarm, AlarmKind
from adctl.delivery.alarms import Reason, budget_reasons, pacing_reason
from adctl.delivery.exchange_prices import SETTINGS
from adctl.delivery.pacing import local_day
from adctl.money import format_nanos
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.rejected_events import RejectedEvents
from adctl.streams import topics
from adctl.streams.producer import OutgoingMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config_notices import AlarmSettings
    from adctl.control.periods import Period
    from adctl.models import Campaign
    from adctl.stores.budgets import BudgetState
    from adctl.stores.rejected_events import RejectedCount

    Produce = Callable[[Sequence[OutgoingMessage]], None]
    Key = tuple[int, AlarmKind, int, str]

# Held by whoever publishes, so that messages of a campaign stay in order.
_PUBLISHING_LOCK = 7_237_443
_BATCH = 200

_queries = load_queries("queries/alarms.sql")
_turns = load_queries("queries/control_documents.sql")
_rejected = load_queries("queries/rejected_events.sql")


class FoundAlarm(NamedTuple):
    """Reason for an alarm of a campaign, and when it was found."""

    campaign_id: int
    reason: Reason
    at: datetime


class AlarmWatch:
    """Finds what there is to be alarmed about, once for as long as it lasts. For one thread.

    It remembers since when campaigns are off their pace, and begins anew with the process.
    """

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings
        self._off_pace_since: dict[tuple[int, AlarmKind], datetime] = {}
        self._told: set[Key] = set()

    def look(
        self,
        campaigns: Mapping[int, Campaign],
        states: Mapping[int, BudgetState],
        now: datetime,
    ) -> list[FoundAlarm]:
        """Return what was not so at the last look. ``now`` is aware."""
        found = [
            FoundAlarm(campaign_id, reason, now)
            for campaign_id, state in states.items()
            for reason in self._reasons(campaigns[campaign_id], state, now)
        ]
        keys = {_key(alarm) for alarm in found}
        news = [alarm for alarm in found if _key(alarm) not in self._told]
        self._told = keys
        return news

    def forget(self) -> None:
        """Let the next look find again what still is so: what was found could not be written."""
        self._told = set()

    def _reasons(self, campaign: Campaign, state: BudgetState, now: datetime) -> Iterator[Reason]:
        day = local_day(campaign.timezone, now).isoformat()
        # A state that is still of yesterday has spent nothing today.
        day_spent = state.day_spent if state.day == day else 0
        percents = self._settings.budget_percents
        yield from budget_reasons(campaign, day, day_spent, state.spent, percents)
        if self._settings.pacing_percent:
            yield from self._pacing(campaign, day_spent, state.spent, now)

    def _pacing(
        self, campaign: Campaign, day_spent: int, spent: int, now: datetime
    ) -> Iterator[Reason]:
        reason = pacing_reason(campaign, day_spent, spent, self._settings.pacing_percent, now)
        for kind in (AlarmKind.BEHIND, AlarmKind.AHEAD):
            if reason is None or reason.kind is not kind:
                self._off_pace_since.pop((campaign.id, kind), None)
        if reason is not None:
            since = self._off_pace_since.setdefault((campaign.id, reason.kind), now)
            if now - since >= timedelta(minutes=self._settings.pacing_minutes):
                yield reason


def raise_alarms(pool: ConnectionPool[psycopg.Connection], found: Sequence[FoundAlarm]) -> None:
    """Write alarms, each to be published; what was raised before changes nothing.

    Raises StoreUnavailableError.
    """
    if not found:
        return
    with postgres_errors("raise alarms"), pool.connection() as conn:
        _queries.raise_alarm(
            conn,
            [
                {"campaign_id": alarm.campaign_id, "at": alarm.at, **alarm.reason._asdict()}
                for alarm in found
            ],
        )


def raise_rejected(pool: ConnectionPool[psycopg.Connection], now: datetime) -> RejectedCount:
    """Raise alarms of events that were rejected, and return how many wait.

    One for each campaign in each hour that has new ones, and one for all that say no campaign.
    Raises StoreUnavailableError.
    """
    with postgres_errors("look at rejected events"), pool.connection() as conn:
        found = RejectedEvents().count(conn)
        if found.all:
            _rejected.raise_alarms(conn, kind=AlarmKind.REJECTED, at=now)
    return found


def publish_alarms(pool: ConnectionPool[psycopg.Connection], produce: Produce) -> int:
    """Bring waiting alarms to Kafka, oldest first; return how many were confirmed.

    ``produce`` returns once Kafka has confirmed every message, or raises. Any number of programs
    may call at once. Raises StoreUnavailableError; what was not confirmed goes out again.
    """
    with postgres_errors("publish alarms"), pool.connection() as conn, conn.transaction():
        if not _turns.take_turn(conn, lock=_PUBLISHING_LOCK):
            return 0
        alarms = [_alarm(*row) for row in _queries.waiting_alarms(conn, batch_size=_BATCH)]
        if alarms:
            produce([_outgoing(alarm) for alarm in alarms])
            _queries.alarms_are_published(conn, ids=[alarm.id for alarm in alarms])
        return len(alarms)


def read_alarms(
    conn: psycopg.Connection, period: Period, campaign_id: int | None = None
) -> list[Alarm]:
    """Return the alarms of a period, oldest first."""
    with postgres_errors("report alarms"):
        rows = _queries.alarms_since(
            conn, since=period.since, until=period.until, campaign_id=campaign_id
        )
        return [_alarm(*row) for row in rows]


ALARM_COLUMNS = (
    *("at", "kind", "campaign_id", "campaign", "advertiser_id"),
    *("percent", "spent", "budget", "expected", "events", "exchange", "look_at"),
)
"""The names of alarm_fields."""


def alarm_fields(alarm: Alarm) -> dict[str, object]:
    """Return everything a person asks for, amounts as exact decimals."""
    return {
        "at": alarm.at,
        "kind": alarm.kind,
        "campaign_id": alarm.campaign_id or None,
        "campaign": alarm.campaign,
        "advertiser_id": alarm.advertiser_id or None,
        "percent": alarm.percent,
        "spent": format_nanos(alarm.spent_nanos),
        "budget": format_nanos(alarm.budget_nanos),
        "expected": format_nanos(alarm.expected_nanos) if alarm.expected_nanos else None,
        "events": alarm.events or None,
        "exchange": alarm.exchange or None,
        "look_at": SETTINGS.get(alarm.kind),
    }


def _key(alarm: FoundAlarm) -> Key:
    return (alarm.campaign_id, *alarm.reason[:3])


def _alarm(number: int, kind: str, *rest: object) -> Alarm:
    return Alarm(number, AlarmKind(kind), *rest)  # type: ignore[arg-type]


def _outgoing(alarm: Alarm) -> OutgoingMessage:
    return OutgoingMessage(
        topics.ALARMS, str(alarm.campaign_id).encode(), msgspec.json.encode(alarm)
    )
