"""What consumers have built is, to the byte, what PostgreSQL's own rows say it should be."""

from __future__ import annotations

import io
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.billing import BILLING, Billing
from adctl.control.flushing import Flusher
from adctl.control.rebuilding import RollupRebuilder, StatementRebuilder
from adctl.control.relaying import Relay
from adctl.control.rollup_check import RollupCheck
from adctl.control.statement_lines import check_lines
from adctl.control.statements import parse_month
from adctl.decisions import Decision, ImpDecision
from adctl.delivery.landscape import lowest_of, price_bucket
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.rollups import ALWAYS
from adctl.stores.stream import event_streams
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
MONTH = parse_month(None, datetime.now(UTC))
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


@pytest.fixture
def plant(redis_client: redis.Redis, pool: Pool, kafka: KafkaSettings) -> Iterator[Plant]:
    plant = Plant(redis_client, pool, kafka)
    yield plant
    plant.close()


def spoil(postgres: psycopg.Connection, since: datetime) -> None:
    postgres.execute(
        "UPDATE rollup_delivery SET clicks = clicks + 1, spend_nanos = 5 WHERE hour >= %s", [since]
    )
    postgres.execute("UPDATE rollup_landscape SET wins = wins + 3 WHERE hour >= %s", [since])
    postgres.execute("DELETE FROM rollup_delivery WHERE country = 'USA' AND hour >= %s", [since])
    postgres.execute("DELETE FROM statement_line WHERE day >= %s::date", [since])
    postgres.commit()


def test_rebuilding_all_of_it_gives_what_the_stream_gave_byte_for_byte(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(1, 400))
    plant.decide(3)
    plant.read()
    streamed = dump(postgres, ROLLUPS), dump(postgres, LINES)
    assert streamed[0].count(b"\n") > 200
    assert streamed[1].count(b"\n") >= 6
    postgres.execute("UPDATE statement_line SET spend_nanos = 1, late_spend_nanos = 0")
    postgres.execute("UPDATE rollup_delivery SET wins = 9, value_nanos = 1, bids = bids")
    postgres.execute("DELETE FROM rollup_delivery WHERE country = 'USA' AND bids = 0")
    postgres.execute("DELETE FROM rollup_landscape WHERE bids = 0")
    postgres.commit()
    plant.rollups.rebuild()
    plant.lines.rebuild()
    assert (dump(postgres, ROLLUPS), dump(postgres, LINES)) == streamed


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_rebuilding_some_hours_while_messages_are_unread_gives_the_same_in_the_end(
    plant: Plant, postgres: psycopg.Connection, share: float
) -> None:
    told = events(2, 200)
    plant.happen(told)
    plant.read(share)
    since = HOUR - timedelta(hours=2)
    spoil(postgres, since)
    plant.rollups.rebuild(since)
    plant.lines.rebuild()
    # Later hours only, while what the first rebuild counted is still unread.
    plant.rollups.rebuild(HOUR - timedelta(hours=1))
    plant.read()
    streamed = dump(postgres, ROLLUPS), dump(postgres, LINES)
    plant.rollups.rebuild()
    plant.lines.rebuild()
    assert (dump(postgres, ROLLUPS), dump(postgres, LINES)) == streamed


def test_rebuilding_some_hours_leaves_earlier_ones_alone(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(3, 200))
    plant.read()
    since = HOUR - timedelta(hours=2)
    earlier = ["SELECT count(*) FROM rollup_delivery WHERE hour < %s", [since]]
    [(before,)] = postgres.execute(*earlier).fetchall()
    postgres.execute("TRUNCATE event CASCADE")
    postgres.commit()
    plant.rollups.rebuild(since)
    assert postgres.execute(*earlier).fetchall() == [(before,)]
    assert before > 0
    [(left,)] = postgres.execute(
        "SELECT count(*) FROM rollup_delivery WHERE hour >= %s", [since]
    ).fetchall()
    assert left == 0


def test_a_check_finds_the_hours_that_are_not_what_their_events_say(
    plant: Plant, pool: Pool, postgres: psycopg.Connection
) -> None:
    plant.happen(events(5, 200))
    plant.read()
    now, wrong = HOUR + timedelta(minutes=30), HOUR - timedelta(hours=2)
    right = RollupCheck(pool).check(ALWAYS, now, None, 0)
    assert len(right) >= 6
    assert not any(hour.different for hour in right)
    assert len(RollupCheck(pool).check(ALWAYS, now, 2, 0)) == 2
    postgres.execute("UPDATE rollup_delivery SET clicks = clicks + 1 WHERE hour = %s", [wrong])
    postgres.commit()
    found = RollupCheck(pool).check(ALWAYS, now, None, 0)
    assert [hour.hour for hour in found if hour.different] == [wrong]


def test_a_check_finds_an_hour_of_which_the_rollups_know_nothing(plant: Plant, pool: Pool) -> None:
    plant.happen(events(6, 50))
    checked = RollupCheck(pool).check(HOUR - timedelta(hours=3), HOUR, None, 0)
    assert [hour.hour for hour in checked] == [HOUR - timedelta(hours=n) for n in (3, 2, 1)]
    assert all(hour.different for hour in checked)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("loss", [Plant.wipe, Plant.set_back])
def test_a_redis_that_loses_its_streams_before_the_relay_takes_nothing_from_the_reports(
    plant: Plant,
    pool: Pool,
    postgres: psycopg.Connection,
    loss: Callable[[Plant], None],
    times: int,
) -> None:
    told = events(7, 300)
    plant.happen(told[:60])
    for part in range(times):
        plant.store(told[60 + 80 * part : 140 + 80 * part])
        loss(plant)
        plant.renumber()
    plant.relay()
    plant.read()
    checked = RollupCheck(pool).check(ALWAYS, datetime.now(UTC), None, 0)
    assert len(checked) >= 6
    assert not any(hour.different for hour in checked)
    assert check_lines(pool, MONTH, 0) == []
    built = dump(postgres, ROLLUPS), dump(postgres, LINES)
    plant.rollups.rebuild()
    plant.lines.rebuild()
    assert (dump(postgres, ROLLUPS), dump(postgres, LINES)) == built


def now_shown(count: int, first: int = 0) -> list[Event]:
    """Impressions of this moment that differ in nothing that reports tell apart."""
    now = datetime.now(UTC)
    return [
        Event(
            event_id=f"now-{number}",
            event_date=now.date().isoformat(),
            kind=EventKind.IMPRESSION,
            occurred_at_ms=int(now.timestamp() * 1000),
            bid_id=f"bid-{number}",
            campaign_id=1,
            creative_id=1,
            exchange="default",
            price_cpm_micros=1000,
            cost_nanos=1000,
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def reading(plant: Plant) -> Iterator[None]:
    """Let the groups read all the time, whatever the relays do."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            plant.read()

    thread = threading.Thread(target=read)
    thread.start()
    yield
    stop.set()
    thread.join()


class Stored:
    """Events that are stored and relayed all the time, so that some are always on their way."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._store), threading.Thread(target=self._relay)]

    def _store(self) -> None:
        number = 1000
        while not self._stop.wait(0.02):
            self._plant.store(now_shown(3, number))
            number += 3

    def _relay(self) -> None:
        while not self._stop.wait(0.02):
            self._plant.relay()

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.usefixtures("reading")
def test_checks_hold_of_the_hour_that_is_not_over_while_events_are_on_their_way(
    plant: Plant, pool: Pool
) -> None:
    plant.happen(now_shown(1))
    with Stored(plant):
        now = datetime.now(UTC)
        checked = RollupCheck(pool).check(now, now, None, 20)
        assert [hour.different for hour in checked] == [0]
        assert check_lines(pool, MONTH, 20) == []


@pytest.mark.usefixtures("reading")
def test_checks_find_one_event_that_is_missing_among_those_on_their_way(
    plant: Plant, pool: Pool, postgres: psycopg.Connection
) -> None:
    plant.store(now_shown(5))
    postgres.execute("DELETE FROM relay_batch")
    postgres.commit()
    with Stored(plant):
        now = datetime.now(UTC)
        checked = RollupCheck(pool).check(now, now, None, 3)
        assert [hour.different for hour in checked] == [1]
        [fault] = check_lines(pool, MONTH, 3)
        assert fault.booked_impressions - fault.impressions == 5


def test_the_newest_hour_is_in_every_sample(plant: Plant, pool: Pool) -> None:
    plant.store([*events(8, 50), *now_shown(1)])
    now = datetime.now(UTC)
    assert [RollupCheck(pool).check(ALWAYS, now, 1, 0)[0].hour for _ in range(5)] == [
        now.replace(minute=0, second=0, microsecond=0)
    ] * 5


def test_relays_go_on_after_a_check(plant: Plant, pool: Pool) -> None:
    plant.happen(now_shown(1))
    now = datetime.now(UTC)
    assert [hour.different for hour in RollupCheck(pool).check(now, now, None, 0.6)] == [1]
    began = time.monotonic()
    plant.happen(now_shown(1, 1))
    assert time.monotonic() - began < 3


def test_statement_lines_add_up_to_the_ledger(plant: Plant, postgres: psycopg.Connection) -> None:
    plant.happen(events(4, 200))
    plant.read()
    ledger = "SELECT sum(amount_nanos) FROM ledger_entry WHERE account = 'campaign'"
    lines = "SELECT sum(spend_nanos), sum(late_spend_nanos) > 0, sum(unpriced_spend_nanos) > 0"
    [(booked,)] = postgres.execute(ledger).fetchall()
    assert postgres.execute(f"{lines} FROM statement_line").fetchall() == [(booked, True, True)]


def test_price_buckets_are_the_same_in_postgresql(postgres: psycopg.Connection) -> None:
    prices = [*range(70), 999_999, 1_000_000, 2**31, 2**40 - 1, 2**40, 2**62]
    rows = postgres.execute("SELECT price_bucket(p) FROM unnest(%s::bigint[]) AS p", [prices])
    found = [bucket for (bucket,) in rows.fetchall()]
    assert found == [price_bucket(price) for price in prices]
    assert all(lowest_of(b) <= p < lowest_of(b + 1) for p, b in zip(prices, found, strict=True))
