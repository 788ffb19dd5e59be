"""Changes reach bidders and Kafka, whatever is down when they are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition

from adctl.control import advertisers, campaigns, creatives
from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.publishing import relay_outbox, sync_all
from adctl.errors import StoreUnavailableError
from adctl.models import CampaignChange
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from adctl.stores.stream import EventStream
from adctl.stores.tables import open_engine
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import OutgoingMessage, ReliableProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.models import Event

CAMPAIGN = {
    "advertiser": "Acme",
    "name": "Spring",
    "budget": "500",
    "daily_budget": "50",
    "bid": "2.00",
    "timezone": "Pacific/Auckland",
}


@pytest.fixture
def plane(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[ControlPlane]:
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    plane = ControlPlane(engine, CatalogStore(redis_client), Budgets(redis_client))
    advertisers.create(plane, "ann", {"name": "Acme"})
    yield plane
    engine.dispose()


@pytest.fixture
def cut_off(plane: ControlPlane, settings: Settings) -> Iterator[ControlPlane]:
    with connect("redis://127.0.0.1:1/0", settings.redis) as nowhere:
        yield ControlPlane(plane.engine, CatalogStore(nowhere), Budgets(nowhere))


@pytest.fixture
def spring(plane: ControlPlane) -> int:
    return campaigns.create(plane, "ann", CAMPAIGN).view.id


@pytest.fixture
def relay(
    plane: ControlPlane, pool: ConnectionPool[psycopg.Connection]
) -> Callable[[Callable[[Sequence[OutgoingMessage]], None]], int]:
    return lambda produce: relay_outbox(pool, plane.catalog, plane.budgets, produce)


def refuse(_messages: Sequence[OutgoingMessage]) -> None:
    raise StoreUnavailableError("Kafka: not there")


def waiting(postgres: psycopg.Connection) -> int:
    with postgres.transaction():
        return postgres.execute("SELECT count(*) FROM outbox").fetchone()[0]


def book(postgres: psycopg.Connection, campaign_id: int, nanos: int, at: datetime) -> None:
    entries = [("campaign", nanos), ("exchange", -nanos)]
    rows = ", ".join(
        f"('t{at:%d%H%M}', '{account}', {campaign_id}, {amount}, '{at.isoformat()}')"
        for account, amount in entries
    )
    postgres.execute(
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        f"VALUES {rows}"
    )
    postgres.commit()


def test_every_change_reaches_kafka_in_order(
    plane: ControlPlane,
    spring: int,
    relay: Callable[..., int],
    kafka: KafkaSettings,
    postgres: psycopg.Connection,
) -> None:
    campaigns.update(plane, "bob", spring, {"bid": "2.50"})
    campaigns.pause(plane, "cyd", spring)
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    assert relay(producer.send) == 3
    assert relay(producer.send) == 0
    producer.close()
    assert waiting(postgres) == 0

    messages = read_campaigns(kafka, 3)
    assert {key for key, _ in messages} == {str(spring)}
    assert [(change.version, change.action, change.actor) for _, change in messages] == [
        (1, "campaign.create", "ann"),
        (2, "campaign.update", "bob"),
        (3, "campaign.pause", "cyd"),
    ]
    assert [change.serving for _, change in messages] == [True, True, False]
    assert messages[0][1].campaign.bid_amount_micros == 2_000_000
    assert messages[1][1].campaign.bid_amount_micros == 2_500_000


def read_campaigns(kafka: KafkaSettings, count: int) -> list[tuple[str, CampaignChange]]:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "test", "enable.auto.commit": False}
    )
    name = kafka.topic_prefix + topics.CAMPAIGNS
    consumer.assign([TopicPartition(name, p, 0) for p in range(kafka.partitions)])
    found: list[tuple[str, CampaignChange]] = []
    for _ in range(30):
        for message in consumer.consume(100, 0.3):
            assert message.error() is None
            change = msgspec.json.decode(message.value(), type=CampaignChange)
            found.append((message.key().decode(), change))
        if len(found) >= count:
            break
    consumer.close()
    return found


def test_change_made_without_redis_arrives_with_the_relay(
    plane: ControlPlane,
    cut_off: ControlPlane,
    relay: Callable[..., int],
    redis_client: redis.Redis,
) -> None:
    spring = campaigns.create(cut_off, "ann", CAMPAIGN).view.id
    assert not redis_client.exists(keys.campaign(spring))
    assert relay(lambda _messages: None) == 1
    assert redis_client.exists(keys.campaign(spring))
    assert plane.budgets.read([spring])[spring].budget == 500_000_000_000


def test_change_is_kept_until_kafka_confirms_but_bidders_need_not_wait(
    cut_off: ControlPlane,
    relay: Callable[..., int],
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
) -> None:
    spring = campaigns.create(cut_off, "ann", CAMPAIGN).view.id
    with pytest.raises(StoreUnavailableError):
        relay(refuse)
    assert redis_client.exists(keys.campaign(spring))
    assert waiting(postgres) == 1


def test_late_relay_writes_what_is_true_now(
    plane: ControlPlane, spring: int, relay: Callable[..., int], redis_client: redis.Redis
) -> None:
    campaigns.pause(plane, "ann", spring)
    redis_client.flushdb()
    relay(lambda _messages: None)
    assert not redis_client.exists(keys.campaign(spring))


def test_only_one_relay_works_at_a_time(
    plane: ControlPlane, spring: int, relay: Callable[..., int]
) -> None:
    inner: list[int] = []
    assert relay(lambda _messages: inner.append(relay(lambda _again: None))) == 1
    assert inner == [0]


def test_lost_redis_is_rebuilt_with_what_the_ledger_says_was_spent(
    plane: ControlPlane,
    spring: int,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
) -> None:
    paused = campaigns.create(plane, "ann", {**CAMPAIGN, "name": "Paused"}).view.id
    campaigns.pause(plane, "ann", paused)
    now = datetime.now(UTC)
    book(postgres, spring, 7_000, now)
    book(postgres, spring, 5_000, datetime(2020, 1, 1, tzinfo=UTC))
    redis_client.flushdb()
    assert sync_all(pool, plane.catalog, plane.budgets) == 1

    assert plane.catalog.active_ids() == {spring}
    assert set(plane.catalog.read([spring, paused])) == {spring}
    state = plane.budgets.read([spring, paused])
    assert (state[spring].spent, state[spring].day_spent) == (12_000, 7_000)
    assert state[spring].adds_up
    assert state[paused].spent == 0
    assert state[spring].day == plane_day(now)


def test_lost_redis_is_rebuilt_with_what_is_not_flushed_yet(
    spring: int,
    plane: ControlPlane,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    make_event: Callable[..., Event],
    append: Callable[..., None],
) -> None:
    append(make_event("flushed", campaign_id=spring, cost_nanos=1_000))
    Flusher(pool, EventStream(redis_client)).drain(100)
    redis_client.delete(keys.budget(SHARD, spring))
    append(make_event("unflushed", campaign_id=spring, cost_nanos=200))
    sync_all(pool, plane.catalog, plane.budgets)
    assert plane.budgets.read([spring])[spring].spent == 1_200


def plane_day(now: datetime) -> str:
    return now.astimezone(ZoneInfo("Pacific/Auckland")).date().isoformat()


def test_sync_leaves_money_that_is_there_alone(
    plane: ControlPlane,
    spring: int,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
) -> None:
    budget = keys.budget(SHARD, spring)
    for field, nanos in (("spent", 9), ("available", -9), ("day_spent", 9), ("day_available", -9)):
        redis_client.hincrby(budget, field, nanos)
    sync_all(pool, plane.catalog, plane.budgets)
    assert plane.budgets.read([spring])[spring].spent == 9


def test_single_change_does_not_pass_for_a_whole_catalog(
    plane: ControlPlane, spring: int, redis_client: redis.Redis
) -> None:
    redis_client.flushdb()
    campaigns.update(plane, "ann", spring, {"bid": "3"})
    assert redis_client.smembers(keys.ACTIVE) == {str(spring)}
    assert plane.catalog.active_ids() is None


def test_ended_campaign_is_not_in_the_catalog(
    plane: ControlPlane,
    spring: int,
    pool: ConnectionPool[psycopg.Connection],
    postgres: psycopg.Connection,
) -> None:
    postgres.execute(
        "UPDATE campaign SET starts_at = now() - interval '2 d', ends_at = now() - interval '1 s'"
    )
    postgres.commit()
    sync_all(pool, plane.catalog, plane.budgets)
    assert plane.catalog.active_ids() == set()
    assert campaigns.show(plane, spring).serving == "ended"


def test_change_is_announced_after_it_is_written(
    plane: ControlPlane, spring: int, redis_client: redis.Redis
) -> None:
    changes = plane.catalog.changes(wait_sec=2.0)
    assert next(changes) is None
    creative = {
        "name": "box",
        "size": "300x250",
        "landing_url": "https://acme.example",
        "image_url": "https://cdn.acme.example/box.png",
    }
    creatives.create(plane, "ann", spring, creative)
    assert next(changes) == spring
    assert plane.catalog.read([spring])[spring].version == 2
    changes.close()
