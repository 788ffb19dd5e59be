"""What tests of the way from the event stream to the reports share."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.stores.embedded.kafka import Kafka
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import ServerRecord
from adctl.stores.postgres import open_pool
from adctl.stores.stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings


@pytest.fixture
def pool(
    settings: Settings, postgres: psycopg.Connection
) -> Iterator[ConnectionPool[psycopg.Connection]]:
    """A pool on emptied tables."""
    with open_pool(settings.postgres.url.get_secret_value(), settings.postgres) as pool:
        yield pool


@pytest.fixture
def stream(redis_client: redis.Redis) -> EventStream:
    """The event stream of an emptied Valkey."""
    return EventStream(redis_client)


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Make an impression of campaign 1 that costs 2,500,000 nanos, or what is asked for."""
    now = datetime.now(UTC)

    def make(event_id: str, **changes: object) -> Event:
        event = Event(
            event_id=event_id,
            event_date=now.date().isoformat(),
            kind=EventKind.IMPRESSION,
            occurred_at_ms=int(now.timestamp() * 1000),
            bid_id=f"bid-{event_id}",
            campaign_id=1,
            creative_id=2,
            exchange="default",
            price_cpm_micros=2_500_000,
            cost_nanos=2_500_000,
        )
        return msgspec.structs.replace(event, **changes)

    return make


@pytest.fixture
def append(redis_client: redis.Redis) -> Callable[..., None]:
    """Append events to the stream, as the tracker's script does."""

    def append_all(*events: Event, late: str = "0") -> None:
        for event in events:
            fields = {"e": msgspec.json.encode(event), "late": late}
            redis_client.xadd(keys.events(SHARD), fields)

    return append_all


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    """A broker of the test's own, to be stopped and started again."""
    record = ServerRecord(port=_free_port())
    server = Server(Kafka(tmp_path, "127.0.0.1", record), tmp_path, record, lambda: None)
    server.start(owned=True)
    yield server
    server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
