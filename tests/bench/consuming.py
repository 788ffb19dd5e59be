"""Events per second from Kafka into the rollups, beside reading and decoding them alone."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import Consumer, TopicPartition

from adctl.config import ConsumerSettings, KafkaSettings, PostgresSettings
from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.rebuilding import RollupRebuilder
from adctl.models import Event, EventKind
from adctl.stores.keys import events
from adctl.stores.migrations import migrate
from adctl.stores.postgres import open_pool
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.client import client_settings
from adctl.streams.consumer import GroupConsumer
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from tests.bench.measurements import Measurement, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adctl.control.poison import Poison
    from adctl.stores.endpoints import Endpoints

BARE = "bare consume and JSON decode"
ANALYTICS_CONSUMER = "the analytics consumer"
_EVENTS_A_ROUND = 60_000
_SENT_AT_ONCE = 5_000
_CAMPAIGNS, _SITES = 50, 10_000
_POLL_SEC = 0.25
_PATIENCE_SEC = 60.0
_decode = msgspec.json.Decoder(Event).decode


def measure(endpoints: Endpoints, rounds: int) -> Iterator[Measurement]:
    """Yield events per second of both, round by round, and their ratio.

    The consumer reads batches of the size it has by default, each a transaction with its offsets.
    The clock runs from its first batch: joining the group is not what is measured.
    """
    migrate(endpoints.postgres_url)
    kafka = KafkaSettings(bootstrap=endpoints.kafka_bootstrap)
    bare = Measurement(BARE, "events/s", [])
    ours = Measurement(ANALYTICS_CONSUMER, "events/s", [])
    admin, producer = KafkaAdmin(kafka.bootstrap, kafka), ReliableProducer(kafka.bootstrap)
    admin.ensure_topics()
    try:
        for number in range(rounds):
            _send(producer, number)
            bare.rounds.append(_bare(kafka, number))
            ours.rounds.append(_ours(endpoints.postgres_url, kafka, admin))
    finally:
        producer.close()
    yield bare
    yield ours
    yield ratio(f"{ANALYTICS_CONSUMER} / {BARE}", ours, bare)


def _send(producer: ReliableProducer, number: int) -> None:
    first = number * _EVENTS_A_ROUND
    for at in range(first, first + _EVENTS_A_ROUND, _SENT_AT_ONCE):
        producer.send([_message(index) for index in range(at, at + _SENT_AT_ONCE)])


def _message(index: int) -> OutgoingMessage:
    event = _event(index)
    value = msgspec.json.encode(event)
    return OutgoingMessage(topics.IMPRESSIONS, event.bid_id.encode(), value, f"1-{index}")


def _event(index: int) -> Event:
    chance = random.Random(index)
    at = datetime.now(UTC) - timedelta(seconds=chance.randrange(60))
    campaign = chance.randrange(1, _CAMPAIGNS + 1)
    return Event(
        event_id=f"{index:x}:impression",
        event_date=at.date().isoformat(),
        kind=EventKind.IMPRESSION,
        occurred_at_ms=int(at.timestamp() * 1000),
        bid_id=f"{index:032x}",
        campaign_id=campaign,
        creative_id=campaign,
        exchange="default",
        price_cpm_micros=2_000_000,
        cost_nanos=2_000_000,
        # A few sites have most of the traffic, as they do.
        site=f"site-{int(chance.paretovariate(1)) % _SITES}.example",
        country=chance.choice(["USA", "DEU", "FRA"]),
        device=chance.choice(["1", "4"]),
        bid_cpm_micros=2_500_000,
        advertiser_id=1,
    )


def _bare(kafka: KafkaSettings, number: int) -> float:
    """Read all there is: what this round sent and the rounds before it."""
    consumer = Consumer(
        client_settings(
            kafka.bootstrap,
            group_id="bench-bare",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
    )
    places = [TopicPartition(topics.IMPRESSIONS, at, 0) for at in range(kafka.partitions)]
    consumer.assign(places)
    sent, read, began = (number + 1) * _EVENTS_A_ROUND, 0, time.perf_counter()
    deadline = time.monotonic() + _PATIENCE_SEC
    try:
        while read < sent:
            _require(time.monotonic() < deadline, BARE)
            messages = consumer.consume(ConsumerSettings().batch_size, _POLL_SEC)
            if not read:
                began = time.perf_counter()
            for message in messages:
                _decode(message.value() or b"")
            read += len(messages)
        return read / (time.perf_counter() - began)
    finally:
        consumer.close()


def _ours(postgres_url: str, kafka: KafkaSettings, admin: KafkaAdmin) -> float:
    cluster_id, batch_size = admin.cluster_id(), ConsumerSettings().batch_size
    with open_pool(postgres_url, PostgresSettings()) as pool:
        places = [(topic, at) for topic in ANALYTICS.topics for at in range(kafka.partitions)]
        RollupRebuilder(pool, events(0)).begin_cluster(cluster_id, places)
        analytics = Analytics(pool, _bury)
        with GroupConsumer(
            kafka.bootstrap,
            "bench-analytics",
            ANALYTICS.topics,
            lambda: analytics.next_offsets(cluster_id),
        ) as consumer:
            applied, began = 0, 0.0
            deadline = time.monotonic() + _PATIENCE_SEC
            while applied < _EVENTS_A_ROUND:
                _require(time.monotonic() < deadline, ANALYTICS_CONSUMER)
                messages = consumer.poll(batch_size, _POLL_SEC)
                began = began or (time.perf_counter() if messages else 0.0)
                if messages:
                    batch = analytics.apply(cluster_id, messages)
                    consumer.commit(batch.next_offsets)
                    applied += batch.applied
            return applied / (time.perf_counter() - began)


def _bury(_cluster_id: str, poison: Sequence[Poison]) -> None:
    raise SystemExit(f"nothing here is poison: {poison[0]}")


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise SystemExit(f"{name}: not all events came within {_PATIENCE_SEC:g} s")
