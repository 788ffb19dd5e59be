"""Both consumer groups on two shards' streams, with Kafka between, worked by hand."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.billing import BILLING, Billing
from adctl.control.flushing import Flusher
from adctl.control.rebuilding import RollupRebuilder, StatementRebuilder
from adctl.control.relaying import Relay
from adctl.decisions import Decision, ImpDecision
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.stream import event_streams
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings
    from adctl.streams.consumer import IncomingMessage

    Pool = ConnectionPool[psycopg.Connection]

SHARDS = 2
STREAMS = [keys.events(shard) for shard in range(SHARDS)]
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
ROLLUPS = {
    "rollup_delivery": "hour, campaign_id, creative_id, exchange, site, country, device",
    "rollup_landscape": "hour, exchange, country, device, price_bucket",
}
LINES = {"statement_line": "day, campaign_id, exchange"}


def dump(postgres: psycopg.Connection, tables: dict[str, str]) -> bytes:
    held = io.BytesIO()
    with postgres.cursor() as cursor:
        for table, order in tables.items():
            with cursor.copy(f"COPY (SELECT * FROM {table} ORDER BY {order}) TO STDOUT") as rows:
                for row in rows:
                    held.write(bytes(row))
    postgres.commit()
    return held.getvalue()


def events(seed: int, count: int) -> list[Event]:
    """Events of every kind over six hours and two days, odd, late, repeated and of tests."""
    chance = random.Random(seed)
    made: list[Event] = []
    for number in range(count):
        kind = chance.choice(list(EventKind))
        at = HOUR - timedelta(seconds=chance.randrange(6 * 3600))
        bills = kind in (EventKind.IMPRESSION, EventKind.BILL) and chance.random() < 0.7
        test = chance.random() < 0.1
        conversion = kind is EventKind.CONVERSION
        made.append(
            Event(
                event_id=f"{number}:{kind}",
                event_date=(at - timedelta(days=chance.randrange(2))).date().isoformat(),
                kind=kind,
                occurred_at_ms=int(at.timestamp() * 1000) + chance.randrange(1000),
                bid_id=f"bid-{number}",
                campaign_id=chance.randrange(1, 4),
                creative_id=chance.randrange(1, 3),
                exchange=chance.choice(["default", "other"]),
                price_cpm_micros=chance.randrange(3_000_000),
                cost_nanos=chance.randrange(1, 3_000_000) if bills and not test else 0,
                unpriced=bills and chance.random() < 0.2,
                test=test,
                min_to_win_micros=chance.choice([None, 1_000_001]),
                site=chance.choice(["", "news.example", "zwölf.example", "NULL", 'a,{b}"c\\\\d ']),
                country=chance.choice(["", "USA", "DEU"]),
                device=chance.choice(["", "1", "4"]),
                bid_cpm_micros=chance.choice([0, 7, 1_500_000, 2**40]),
                advertiser_id=chance.randrange(3),
                value_nanos=chance.choice([None, 12_500_000_000]) if conversion else None,
                attribution=chance.choice(["click", "view"]) if conversion else "",
            )
        )
        if chance.random() < 0.1:
            made.append(made[-1])
    return made


class Plant:
    """Both groups over two shards' streams, with Kafka between."""

    def __init__(self, client: redis.Redis, pool: Pool, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client = client
        self._producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
        admin = KafkaAdmin(kafka.bootstrap, kafka)
        streams = event_streams(client, SHARDS)
        self._flushers = [Flusher(pool, stream) for stream in streams]
        self._relays = [Relay(pool, stream, self._producer, admin) for stream in streams]
        self.cluster_id = admin.cluster_id()
        self.work = [Analytics(pool, self._bury), Billing(pool, self._bury)]
        self.rollups = RollupRebuilder(pool, *STREAMS)
        self.lines = StatementRebuilder(pool, *STREAMS)
        admin.ensure_topics()
        for rebuilder, group in ((self.rollups, ANALYTICS), (self.lines, BILLING)):
            places = [(topic, n) for topic in group.topics for n in range(kafka.partitions)]
            rebuilder.begin_cluster(self.cluster_id, places)

    def happen(self, told: list[Event]) -> None:
        """Let events happen, and come as far as Kafka."""
        self.store(told)
        self.relay()

    def store(self, told: list[Event]) -> None:
        """Let events happen, and come as far as PostgreSQL."""
        for number, event in enumerate(told):
            late = "1" if number % 7 == 0 and event.cost_nanos else "0"
            shard = hash(event.bid_id) % SHARDS
            self._client.xadd(keys.events(shard), {"e": msgspec.json.encode(event), "late": late})
        for flusher in self._flushers:
            flusher.drain(100)

    def relay(self) -> None:
        """Let what PostgreSQL has come to Kafka."""
        for relay in self._relays:
            relay.drain(100)

    def wipe(self) -> None:
        """Let Redis lose all it has."""
        self._client.flushdb()

    def set_back(self) -> None:
        """Let Redis come back with the first half of each stream only."""
        for key in STREAMS:
            entries = self._client.xrange(key)
            self._client.delete(key)
            for stream_id, fields in entries[: len(entries) // 2]:
                self._client.xadd(key, fields, id=stream_id)

    def renumber(self) -> None:
        """Let the streams be moved beyond what PostgreSQL has, as after a clock that went back."""
        for flusher in self._flushers:
            flusher.recover_stream()
            flusher.drain(100)

    def decide(self, count: int) -> None:
        """Let bids be made."""
        at_ms = int((HOUR - timedelta(minutes=90)).timestamp() * 1000)
        imp = ImpDecision("1", 0, winner=1, creative_id=1, bid_id="b", price_cpm_micros=1_500_000)
        decision = Decision("r", "default", at_ms, bid=True, imps=(imp,), domain="news.example")
        value = msgspec.json.encode(decision)
        self._producer.send([OutgoingMessage(topics.BIDS, b"r", value)] * count)

    def read(self, upto: float = 1.0) -> None:
        """Let the groups read a share of each partition."""
        for work in self.work:
            by_place: dict[tuple[str, int], list[IncomingMessage]] = {}
            with TopicReader(
                self._kafka.bootstrap, ANALYTICS.topics, self._kafka.topic_prefix
            ) as reader:
                for message in (message for batch in reader.batches() for message in batch):
                    by_place.setdefault((message.topic, message.partition), []).append(message)
            work.next_offsets(self.cluster_id)
            for messages in by_place.values():
                if messages[0].topic in work.group.topics:
                    work.apply(self.cluster_id, messages[: int(len(messages) * upto)])

    def close(self) -> None:
        self._producer.close()

    @staticmethod
    def _bury(_cluster_id: str, poison: object) -> None:
        pytest.fail(f"nothing here is poison: {poison}")
