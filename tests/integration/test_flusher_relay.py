from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import CollectorRegistry

from adctl.control.flushing import Flusher
from adctl.control.relaying import Relay
from adctl.errors import LedgerBehindError, StoreUnavailableError
from adctl.models import EventKind
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from daemons.flusher.metrics import FlusherMetrics
from daemons.flusher.work import FlusherWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings
    from adctl.models import Event
    from adctl.stores.embedded.server import Server
    from adctl.stores.stream import EventStream

    MakeEvent = Callable[..., Event]
    Append = Callable[..., None]


@pytest.fixture
def flusher(pool: ConnectionPool[psycopg.Connection], stream: EventStream) -> Flusher:
    return Flusher(pool, stream)


@pytest.fixture
def admin(kafka: KafkaSettings) -> KafkaAdmin:
    return KafkaAdmin(kafka.bootstrap, kafka)


@pytest.fixture
def producer(kafka: KafkaSettings) -> Iterator[ReliableProducer]:
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    yield producer
    producer.close()


@pytest.fixture
def relay(
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    producer: ReliableProducer,
    admin: KafkaAdmin,
) -> Relay:
    return Relay(pool, stream, producer, admin)


def read_topic(kafka: KafkaSettings, topic: str, count: int) -> list[tuple[str, str]]:
    """Return (event id, stream id) of the first ``count`` messages, and any that come with them."""
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "test", "enable.auto.commit": False}
    )
    partitions = range(kafka.partitions)
    consumer.assign([TopicPartition(kafka.topic_prefix + topic, p, 0) for p in partitions])
    found: list[tuple[str, str]] = []
    for _ in range(20):
        for message in consumer.consume(1000, 0.3 if len(found) < count else 0.5):
            assert message.error() is None
            stream_id = dict(message.headers() or [])["stream_id"].decode()
            found.append((json.loads(message.value())["event_id"], stream_id))
        if len(found) >= count:
            break
    consumer.close()
    return sorted(found)


def ids(messages: list[tuple[str, str]]) -> list[str]:
    return [event_id for event_id, _ in messages]


def test_stored_events_reach_the_topic_of_their_kind(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent, kafka: KafkaSettings
) -> None:
    append(make_event("i"), make_event("c", kind=EventKind.CLICK), make_event("i2"))
    append(make_event("w", kind=EventKind.WIN), make_event("l", kind=EventKind.LOSS))
    flusher.flush_once(100)
    assert relay.relay_once(100) == 5
    assert ids(read_topic(kafka, "impressions", 2)) == ["i", "i2"]
    assert ids(read_topic(kafka, "clicks", 1)) == ["c"]
    assert ids(read_topic(kafka, "wins", 2)) == ["l", "w"]


def test_what_was_stored_before_the_first_relay_is_relayed(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent, kafka: KafkaSettings
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    assert relay.relay_once(100) == 1
    assert ids(read_topic(kafka, "impressions", 1)) == ["a"]


def test_an_event_is_not_relayed_before_postgresql_has_it(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent
) -> None:
    append(make_event("a"), make_event("b"))
    assert relay.relay_once(100) == 0
    flusher.flush_once(1)
    assert relay.relay_once(100) == 1


def test_duplicates_and_rejected_entries_are_not_relayed(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent, kafka: KafkaSettings
) -> None:
    append(make_event("a"), make_event("bad", event_date="soon"), make_event("a"))
    flusher.flush_once(100)
    append(make_event("a"), make_event("nul\0"), make_event("b"))
    flusher.flush_once(100)
    assert relay.relay_once(100) == 2
    assert ids(read_topic(kafka, "impressions", 2)) == ["a", "b"]


def test_a_relay_comes_as_far_as_postgresql_though_nothing_waits(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent, stream: EventStream
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    relay.drain(100)
    append(make_event("a"), make_event("bad", event_date="soon"))
    flusher.flush_once(100)
    assert relay.relay_once(100) == 0
    assert {position.last_id for position in flusher.status().positions} == {stream.last_id()}


def test_a_relay_takes_whole_transactions_up_to_its_batch_and_at_least_one(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent
) -> None:
    append(*(make_event(f"e{number}") for number in range(11)))
    for size in (2, 3, 5, 1):
        flusher.flush_once(size)
    assert [relay.relay_once(size) for size in (4, 4, 4, 4, 4)] == [2, 3, 5, 1, 0]


def test_the_stream_is_trimmed_to_what_both_have(
    flusher: Flusher,
    relay: Relay,
    append: Append,
    make_event: MakeEvent,
    stream: EventStream,
) -> None:
    append(*(make_event(f"e{number}") for number in range(5)))
    flusher.flush_once(3)
    flusher.flush_once(1)
    relay.relay_once(3)
    assert flusher.trim() == 3
    assert stream.length() == 2
    relay.relay_once(3)
    assert flusher.trim() == 1
    assert stream.length() == 1


@pytest.mark.parametrize(("stream_max_entries", "trimmed"), [(8, 0), (7, 3)])
def test_beyond_half_its_bound_a_stream_is_trimmed_to_what_postgresql_has(
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    stream_max_entries: int,
    trimmed: int,
) -> None:
    flusher = Flusher(pool, stream, stream_max_entries)
    append(*(make_event(f"e{number}") for number in range(4)))
    flusher.flush_once(3)
    assert flusher.trim() == trimmed


def test_what_was_trimmed_before_kafka_had_it_is_relayed(
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    relay: Relay,
    append: Append,
    make_event: MakeEvent,
    kafka: KafkaSettings,
) -> None:
    flusher = Flusher(pool, stream, stream_max_entries=2)
    append(make_event("a"), make_event("b"))
    flusher.flush_once(100)
    assert flusher.trim() == 2
    assert relay.relay_once(100) == 2
    assert ids(read_topic(kafka, "impressions", 2)) == ["a", "b"]


def test_the_trim_waits_for_no_further_event(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent, stream: EventStream
) -> None:
    work = FlusherWork([(flusher, relay)], 100, FlusherMetrics(CollectorRegistry()))
    append(make_event("a"))
    work.flush()
    relay.drain(100)  # another flusher has sent it, and was killed before its trim
    work.relay()
    work.trim()
    assert stream.length() == 0


def test_the_flusher_relays_all_there_is_however_small_its_transactions_were(
    flusher: Flusher, relay: Relay, append: Append, make_event: MakeEvent
) -> None:
    work = FlusherWork([(flusher, relay)], 3, FlusherMetrics(CollectorRegistry()))
    append(*(make_event(f"e{number}") for number in range(8)))
    while flusher.flush_once(2).read:
        pass
    work.relay()
    assert relay.relay_once(100) == 0


def test_a_trim_never_goes_back(
    flusher: Flusher,
    relay: Relay,
    append: Append,
    make_event: MakeEvent,
    stream: EventStream,
    postgres: psycopg.Connection,
) -> None:
    append(make_event("a"), make_event("b"))
    flusher.flush_once(1)
    past = flusher.status().positions[0].last_id
    flusher.flush_once(1)
    relay.drain(100)
    flusher.trim()
    trimmed_id = stream.trimmed_id()
    postgres.execute("UPDATE stream_position SET last_id = %s", [past])
    postgres.commit()
    assert flusher.trim() == 0
    assert stream.trimmed_id() == trimmed_id
    with pytest.raises(LedgerBehindError):
        flusher.flush_once(100)


def test_a_server_that_took_over_forgets_nothing_before_it_was_found_right(
    flusher: Flusher,
    relay: Relay,
    append: Append,
    make_event: MakeEvent,
    stream: EventStream,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    relay.drain(100)
    begin = "INSERT INTO redis_mark (shard, run_id, mark, generation) VALUES (0, 'f00d', 1, 1)"
    postgres.execute(begin)
    postgres.commit()
    assert flusher.trim() == 0
    assert stream.length() == 1
    postgres.execute("UPDATE redis_mark SET run_id = %s", [redis_client.info("server")["run_id"]])
    postgres.commit()
    assert flusher.trim() == 1


def test_postgresql_restored_to_the_past_has_all_again_though_kafka_had_nothing(
    flusher: Flusher, append: Append, make_event: MakeEvent, postgres: psycopg.Connection
) -> None:
    append(make_event("a"), make_event("b"))
    flusher.flush_once(100)
    flusher.trim()
    with postgres.transaction():
        postgres.execute("SET LOCAL session_replication_role = replica")
        postgres.execute("DELETE FROM event")
        postgres.execute("DELETE FROM ledger_entry")
        postgres.execute("DELETE FROM ledger_balance")
        postgres.execute("DELETE FROM relay_batch")
        postgres.execute("DELETE FROM stream_position")
    assert flusher.flush_once(100).stored == 2


def test_events_wait_for_kafka_by_postgresqls_clock_whatever_redis_holds(
    flusher: Flusher,
    append: Append,
    make_event: MakeEvent,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    redis_client.flushdb()
    postgres.execute("UPDATE relay_batch SET stored_at = now() - interval '2 hours'")
    postgres.commit()
    status = flusher.status()
    assert status.unflushed_age_sec == 0
    assert 7200 <= status.unrelayed_age_sec < 7300


def test_without_kafka_events_are_stored_and_kept_for_it(
    flusher: Flusher,
    relay: Relay,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    kafka: KafkaSettings,
    admin: KafkaAdmin,
) -> None:
    down = kafka.model_copy(update={"bootstrap": "127.0.0.1:9"})
    producer = ReliableProducer(down.bootstrap, down.topic_prefix)
    severed = Relay(pool, stream, producer, KafkaAdmin(down.bootstrap, down))
    append(make_event("a"), make_event("b"))
    assert flusher.flush_once(100).stored == 2
    with pytest.raises(StoreUnavailableError, match="Kafka"):
        severed.relay_once(100)
    producer.close()
    assert flusher.trim() == 0
    assert flusher.status().unrelayed_age_sec > 0
    assert relay.relay_once(100) == 2
    assert ids(read_topic(kafka, "impressions", 2)) == ["a", "b"]


def test_a_relay_that_crashed_before_its_position_moved_sends_the_same_ids_again(
    flusher: Flusher,
    relay: Relay,
    append: Append,
    make_event: MakeEvent,
    kafka: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)

    def crash(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(relay._positions, "advance", crash)
        with pytest.raises(KeyboardInterrupt):
            relay.relay_once(100)
    assert relay.relay_once(100) == 1
    first, second = read_topic(kafka, "impressions", 2)
    assert first == second


def test_a_broker_that_forgot_everything_gets_what_follows(
    flusher: Flusher,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Append,
    make_event: MakeEvent,
    kafka: KafkaSettings,
    broker: Server,
) -> None:
    here = kafka.model_copy(update={"bootstrap": f"127.0.0.1:{broker.port}"})
    producer = ReliableProducer(here.bootstrap, here.topic_prefix, timeout_sec=2)
    relay = Relay(pool, stream, producer, KafkaAdmin(here.bootstrap, here))
    append(make_event("a"))
    flusher.flush_once(100)
    assert relay.relay_once(100) == 1
    flusher.trim()

    append(make_event("b"))
    flusher.flush_once(100)
    broker.respawn()
    append(make_event("c"))
    relayed = 0
    deadline = time.monotonic() + 15
    while relayed < 2 and time.monotonic() < deadline:
        with suppress(StoreUnavailableError):
            relayed += relay.relay_once(100)
            flusher.flush_once(100)
    assert relayed == 2
    assert ids(read_topic(here, "impressions", 2)) == ["b", "c"]
    assert flusher.trim() == 2
    producer.close()
