"""The analytics group reading from a broker, which may forget everything."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.dead_letters import Undertaker
from adctl.control.flushing import Flusher
from adctl.control.rebuilding import RollupRebuilder
from adctl.control.relaying import Relay
from adctl.decisions import Decision, ImpDecision
from adctl.errors import StoreUnavailableError
from adctl.streams.admin import KafkaAdmin
from adctl.streams.consumer import IncomingMessage
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from daemons.consumer.metrics import ConsumerMetrics
from daemons.consumer.reading import GroupReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings
    from adctl.models import Event
    from adctl.stores.embedded.server import Server
    from adctl.stores.stream import EventStream

    MakeEvent = Callable[..., Event]
    Append = Callable[..., None]

HOUR = datetime(2026, 11, 1, 10, tzinfo=UTC)
AT_MS = int(HOUR.timestamp() * 1000) + 120_000
COUNTS = "bids, wins, losses, impressions, clicks, conversions, spend_nanos"


def delivery(postgres: psycopg.Connection) -> list[tuple[object, ...]]:
    rows = postgres.execute(
        f"SELECT campaign_id, {COUNTS} FROM rollup_delivery ORDER BY hour, campaign_id"
    ).fetchall()
    postgres.commit()
    return rows


def requests(postgres: psycopg.Connection) -> list[tuple[object, ...]]:
    query = "SELECT hour, exchange, reason, requests FROM rollup_requests ORDER BY reason"
    rows = postgres.execute(query).fetchall()
    postgres.commit()
    return rows


def decision_message(offset: int, **changes: object) -> IncomingMessage:
    imp = ImpDecision(imp_id="1", bidfloor_micros=0, winner=1, creative_id=2, bid_id="b")
    decision = Decision(
        request_id=f"r{offset}", exchange="default", decided_at_ms=AT_MS, bid=True, imps=(imp,)
    )
    changed = msgspec.structs.replace(decision, **changes)
    return IncomingMessage("bids", 0, offset, msgspec.json.encode(changed), "")


@pytest.fixture
def producer(kafka: KafkaSettings) -> Iterator[ReliableProducer]:
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    yield producer
    producer.close()


@contextmanager
def reading(
    kafka: KafkaSettings, pool: ConnectionPool[psycopg.Connection], stream: EventStream
) -> Iterator[GroupReader]:
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    undertaker = Undertaker(producer, ANALYTICS.name, 1000, lambda: datetime.now(UTC))
    reader = GroupReader(
        kafka,
        KafkaAdmin(kafka.bootstrap, kafka),
        Analytics(pool, undertaker.bury),
        RollupRebuilder(pool, stream.key),
        1000,
        ConsumerMetrics(CollectorRegistry()),
    )
    stop = threading.Event()
    thread = threading.Thread(target=reader.run, args=[stop])
    thread.start()
    try:
        yield reader
    finally:
        stop.set()
        thread.join()
        producer.close()


def wait_for(claim: Callable[..., bool]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.1)
    return False


def test_events_and_decisions_reach_the_rollups_through_kafka_once(
    kafka: KafkaSettings,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    producer: ReliableProducer,
    postgres: psycopg.Connection,
) -> None:
    admin = KafkaAdmin(kafka.bootstrap, kafka)
    flusher, relay = Flusher(pool, stream), Relay(pool, stream, producer, admin)
    append(make_event("before", occurred_at_ms=AT_MS))
    flusher.drain(100)
    relay.drain(100)
    for bids in (1, 2):
        with reading(kafka, pool, stream):
            append(*(make_event(f"e{n}", occurred_at_ms=AT_MS) for n in range(20)))
            producer.send([OutgoingMessage("bids", b"r", decision_message(0).value)])
            flusher.drain(100)
            relay.drain(100)
            done = [(1, bids, 0, 0, 21, 0, 0, 21 * 2_500_000)]
            assert wait_for(lambda done=done: delivery(postgres) == done)
    assert requests(postgres) == [(HOUR, "default", "", 2)]


def test_a_broker_that_forgot_everything_leaves_the_rollups_right(
    kafka: KafkaSettings,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    postgres: psycopg.Connection,
    broker: Server,
) -> None:
    here = kafka.model_copy(update={"bootstrap": f"127.0.0.1:{broker.port}"})
    producer = ReliableProducer(here.bootstrap, here.topic_prefix, timeout_sec=2)
    flusher = Flusher(pool, stream)
    relay = Relay(pool, stream, producer, KafkaAdmin(here.bootstrap, here))

    def flow(count: int) -> bool:
        flusher.drain(100)
        with suppress(StoreUnavailableError):
            relay.drain(100)
        return delivery(postgres) == [(1, 0, 0, 0, count, 0, 0, count * 2_500_000)]

    with reading(here, pool, stream) as reader:
        append(*(make_event(f"a{n}", occurred_at_ms=AT_MS) for n in range(10)))
        assert wait_for(lambda: flow(10))
        broker.respawn()
        append(*(make_event(f"b{n}", occurred_at_ms=AT_MS) for n in range(10)))
        assert wait_for(lambda: flow(20))
        append(*(make_event(f"c{n}", occurred_at_ms=AT_MS) for n in range(10)))
        assert wait_for(lambda: flow(30))
        reader.check()
    producer.close()
