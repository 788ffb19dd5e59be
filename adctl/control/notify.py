"""The consumer group notify: campaign changes and alarms into webhook deliveries, each once.

The delivery of an event to a webhook is a row, made in the transaction of the offsets; sending it
is another matter (adctl.control.webhook_sending). An event's id is made from what it is about, so
one that comes again, by whatever way, finds its deliveries made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.alarms import Alarm, AlarmKind
from adctl.control.alarms import alarm_fields
from adctl.control.group_reading import Group, GroupReading
from adctl.control.poison import Poison, PoisonError, decode
from adctl.models import CampaignChange
from adctl.money import format_nanos
from adctl.stores.postgres import load_queries
from adctl.streams import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.group_reading import Positions
    from adctl.control.once import Rebuilt
    from adctl.streams.consumer import IncomingMessage

NOTIFY = Group("notify", topics=(topics.CAMPAIGNS, topics.ALARMS), keyed=())

CHANGED = "campaign.changed"
TEST = "webhook.test"
EVENT_TYPES = (CHANGED, *AlarmKind)
"""What a webhook may ask for; a test it gets when somebody asks for one."""


class DeliveryBuilder:
    """Makes deliveries for the webhooks that asked for an event."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/webhooks.sql")

    def add(
        self,
        conn: psycopg.Connection,
        messages: Sequence[IncomingMessage],
        _: Positions,
        _rebuilt: Rebuilt,
    ) -> list[Poison]:
        """Make deliveries, as adctl.control.group_reading.Builder says."""
        rows, dead = [], []
        for message in messages:
            try:
                rows.append(_event_of(message))
            except PoisonError as exc:
                dead.append(Poison(message, exc.reason, str(exc)))
        self._queries.make_deliveries(conn, rows)
        return dead


class Notify(GroupReading):
    """The group at work."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        bury: Callable[[str, Sequence[Poison]], None],
    ) -> None:
        super().__init__(NOTIFY, DeliveryBuilder(), pool, bury)


def event_body(event_type: str, at: datetime, about: dict[str, object]) -> str:
    """Return what is sent of an event: its type, when it happened, and what it is about."""
    event = {"type": event_type, "timestamp": at, "data": about}
    return msgspec.json.encode(event).decode()


def _event_of(message: IncomingMessage) -> dict[str, object]:
    """Return a message as the event webhooks are told of. Raises PoisonError."""
    if message.topic == topics.ALARMS:
        alarm = decode(message, Alarm)
        return _row(
            f"alarm-{alarm.id}", alarm.kind, alarm.at, alarm.advertiser_id, alarm_fields(alarm)
        )
    change = decode(message, CampaignChange)
    return _row(
        f"campaign-{change.campaign_id}-{change.version}",
        CHANGED,
        change.at,
        change.campaign.advertiser_id,
        _change_fields(change),
    )


def _row(
    event_id: str, event_type: str, at: datetime, advertiser_id: int, about: dict[str, object]
) -> dict[str, object]:
    return {
        "event_id": event_id,
        "event_type": str(event_type),
        "at": at,
        "advertiser_id": advertiser_id,
        "body": event_body(event_type, at, about),
    }


def _change_fields(change: CampaignChange) -> dict[str, object]:
    campaign = change.campaign
    return {
        "campaign_id": campaign.id,
        "campaign": campaign.name,
        "advertiser_id": campaign.advertiser_id,
        "version": change.version,
        "action": change.action,
        "actor": change.actor,
        "status": campaign.status,
        "serving": change.serving,
        "daily_budget": format_nanos(campaign.daily_budget_nanos),
        "total_budget": format_nanos(campaign.total_budget_nanos),
        "starts_at": campaign.starts_at,
        "ends_at": campaign.ends_at,
    }
