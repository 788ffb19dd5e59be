from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from adctl.config import MoneySettings
from adctl.config_exchange import ExchangeSettings
from adctl.config_notices import AlarmSettings
from adctl.control.price_watch import PriceWatch
from adctl.control.retaining import Policy, Retention
from adctl.control.steering import Pacer
from adctl.errors import StoreUnavailableError
from adctl.models import BidStrategy, Campaign, Factors, Status
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets, Spent
from adctl.stores.catalog import CatalogStore
from adctl.stores.steering import SteeringStore
from daemons.pacer.metrics import PacerMetrics
from daemons.pacer.work import AlarmWork, CatalogWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.streams.producer import OutgoingMessage

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
TODAY = date(2026, 11, 1)
BUDGET = 1_000_000_000


def campaign(number: int, **changes: object) -> Campaign:
    made = Campaign(
        id=number,
        advertiser_id=1,
        name=f"c{number}",
        status=Status.ACTIVE,
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=1_000_000,
        daily_budget_nanos=BUDGET,
        total_budget_nanos=10 * BUDGET,
        starts_at=NOON - timedelta(days=30),
    )
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def catalog(redis_client: redis.Redis) -> CatalogStore:
    return CatalogStore(redis_client)


@pytest.fixture
def budgets(redis_client: redis.Redis) -> Budgets:
    return Budgets(redis_client)


@pytest.fixture
def steering(redis_client: redis.Redis) -> SteeringStore:
    return SteeringStore(redis_client)


@pytest.fixture
def pacer(catalog: CatalogStore, budgets: Budgets, steering: SteeringStore) -> Pacer:
    return Pacer(catalog, budgets, steering)


def test_a_campaign_ahead_of_its_day_is_slowed_down(
    pacer: Pacer, catalog: CatalogStore, budgets: Budgets, steering: SteeringStore
) -> None:
    catalog.fill([campaign(1), campaign(2)])
    budgets.sync(campaign(1), TODAY, Spent(0, BUDGET // 4))
    budgets.sync(campaign(2), TODAY, Spent(0, BUDGET * 9 // 10))
    assert pacer.steer(NOON) == 2
    factors = steering.read([1, 2])
    assert factors[1].pacing_ppm == 1_000_000
    assert factors[2].pacing_ppm == 0


def test_rates_come_from_live_counts(
    pacer: Pacer,
    catalog: CatalogStore,
    budgets: Budgets,
    steering: SteeringStore,
    redis_client: redis.Redis,
) -> None:
    catalog.fill([campaign(1)])
    budgets.sync(campaign(1), TODAY)
    pacer.steer(NOON)
    before = steering.read([1])[1]
    counts = {"impression": 100_000, "click": 5_000, "conversion": 500}
    redis_client.hset(keys.counters(SHARD, 1), mapping=counts)
    pacer.steer(NOON)
    after = steering.read([1])[1]
    assert before.ctr_ppm < after.ctr_ppm < 50_000
    assert before.cvr_ppm < after.cvr_ppm < 100_000


def test_a_campaign_that_stops_loses_its_factors(
    pacer: Pacer, catalog: CatalogStore, budgets: Budgets, steering: SteeringStore
) -> None:
    catalog.fill([campaign(1), campaign(2)])
    for number in (1, 2):
        budgets.sync(campaign(number), TODAY)
    pacer.steer(NOON)
    catalog.publish(campaign(2), serving=False)
    pacer.steer(NOON)
    assert list(steering.read([1, 2])) == [1]


def test_steering_nothing_leaves_no_factors(pacer: Pacer, steering: SteeringStore) -> None:
    steering.write({1: Factors()})
    assert pacer.steer(NOON) == 0
    assert steering.read([1]) == {}


def test_a_day_begins_when_it_does_in_the_campaigns_zone(
    pacer: Pacer, catalog: CatalogStore, budgets: Budgets
) -> None:
    tokyo, utc = campaign(1, timezone="Asia/Tokyo"), campaign(2)
    catalog.fill([tokyo, utc])
    for one in (tokyo, utc):
        budgets.sync(one, TODAY, Spent(BUDGET // 2, BUDGET // 2))
    assert pacer.roll_days(NOON) == 0
    # 15:00 UTC is midnight in Tokyo.
    assert pacer.roll_days(NOON + timedelta(hours=3)) == 1
    assert pacer.roll_days(NOON + timedelta(hours=3)) == 0
    states = budgets.read([1, 2])
    assert (states[1].day, states[1].day_spent) == ("2026-11-02", 0)
    assert (states[2].day, states[2].day_spent) == ("2026-11-01", BUDGET // 2)
    assert states[1].spent == BUDGET // 2
    assert all(state.adds_up for state in states.values())


def test_a_day_that_has_come_is_paced_from_nothing_even_before_it_is_rolled(
    pacer: Pacer, catalog: CatalogStore, budgets: Budgets, steering: SteeringStore
) -> None:
    catalog.fill([campaign(1)])
    budgets.sync(campaign(1), TODAY, Spent(BUDGET, BUDGET))
    pacer.steer(NOON + timedelta(days=1))
    assert steering.read([1])[1].pacing_ppm == 1_000_000


def test_reservations_are_given_back_when_they_are_too_old(
    pacer: Pacer, budgets: Budgets, redis_client: redis.Redis
) -> None:
    money = MoneySettings(reservation_ttl_sec=600, reservation_bucket_sec=60)
    budgets.sync(campaign(1), TODAY)
    now_bucket = int(NOON.timestamp()) // 60
    for bucket in (now_bucket - 11, now_bucket - 10, now_bucket):
        redis_client.sadd(keys.buckets(SHARD), bucket)
        redis_client.hset(keys.reservations(SHARD, bucket), "1", 100)
    key = keys.budget(SHARD, 1)
    for field, amount in {"reserved": 300, "available": -300, "day_available": -300}.items():
        redis_client.hincrby(key, field, amount)
    assert pacer.expire(NOON, money) == 1
    assert pacer.expire(NOON, money) == 0
    state = budgets.read([1])[1]
    assert state.reserved == 200
    assert state.adds_up


def test_redis_without_a_catalog_or_a_budget_needs_a_sync(
    pacer: Pacer, catalog: CatalogStore, budgets: Budgets, redis_client: redis.Redis
) -> None:
    assert pacer.needs_sync()
    catalog.fill([campaign(1)])
    assert pacer.needs_sync()
    budgets.sync(campaign(1), TODAY)
    assert not pacer.needs_sync()
    redis_client.delete(keys.ACTIVE)
    assert pacer.needs_sync()


@pytest.fixture
def keeping(
    pool: ConnectionPool[psycopg.Connection],
    catalog: CatalogStore,
    budgets: Budgets,
    pacer: Pacer,
    postgres: psycopg.Connection,
) -> CatalogWork:
    def no_kafka(_messages: Sequence[OutgoingMessage]) -> None:
        raise StoreUnavailableError("Kafka: down")

    postgres.execute("INSERT INTO advertiser (name) VALUES ('a')")
    postgres.execute(
        "INSERT INTO campaign (advertiser_id, name, status, bid_strategy, bid_amount_micros, "
        "daily_budget_nanos, total_budget_nanos, starts_at, timezone, pacing) "
        "VALUES (1, 'c', 'active', 'cpm', 1, 1000, 5000, now(), 'UTC', 'even')"
    )
    postgres.commit()
    metrics = PacerMetrics(CollectorRegistry())
    retention = Retention(pool, [], Policy(0, 86_400))
    return CatalogWork(pool, catalog, budgets, pacer, no_kafka, retention, 1, metrics)


def test_a_redis_that_lost_everything_is_filled_from_postgresql(
    keeping: CatalogWork,
    catalog: CatalogStore,
    budgets: Budgets,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
) -> None:
    keeping.sync()
    assert catalog.active_ids() == {1}
    assert budgets.read([1])[1].available == 5000
    postgres.execute(
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        "VALUES ('e', 'campaign', 1, 700, now()), ('e', 'exchange', 1, -700, now())"
    )
    postgres.commit()
    redis_client.flushdb()
    keeping.sync()
    state = budgets.read([1])[1]
    assert (state.spent, state.available, state.day_spent) == (700, 4300, 700)


def test_rejected_events_are_counted_by_what_they_cost(
    pool: ConnectionPool[psycopg.Connection], postgres: psycopg.Connection
) -> None:
    registry = CollectorRegistry()
    settings = AlarmSettings()
    prices = PriceWatch(pool, settings, {"default": ExchangeSettings()})
    work = AlarmWork(pool, settings, lambda _messages: None, PacerMetrics(registry), prices)
    for number, raw in enumerate([b'{"cost_nanos":5}', b'{"cost_nanos":7}', b"{}", b"{"]):
        postgres.execute(
            "INSERT INTO rejected_event (stream, stream_id, reason, raw) VALUES ('s', %s, 'r', %s)",
            [f"1-{number}", raw],
        )
    postgres.commit()
    work.look_at_rejected()
    assert counted(registry) == {"some": 2, "none": 1, "unknown": 1}
    postgres.execute("DELETE FROM rejected_event")
    postgres.commit()
    work.look_at_rejected()
    assert counted(registry) == {"some": 0, "none": 0, "unknown": 0}


def counted(registry: CollectorRegistry) -> dict[str, float | None]:
    name = "adctl_rejected_events"
    return {
        cost: registry.get_sample_value(name, {"cost": cost})
        for cost in ("some", "none", "unknown")
    }


def test_event_partitions_are_made_a_day_ahead(
    keeping: CatalogWork, postgres: psycopg.Connection
) -> None:
    keeping.make_partitions()
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    found = postgres.execute("SELECT to_regclass(%s) IS NOT NULL", [f"event_{tomorrow:%Y%m%d}"])
    assert found.fetchone() == (True,)


def test_a_day_that_redis_has_gone_back_from_begins_again(
    pacer: Pacer, catalog: CatalogStore, budgets: Budgets, redis_client: redis.Redis
) -> None:
    catalog.fill([campaign(1)])
    budgets.sync(campaign(1), TODAY)
    backup = redis_client.dump(keys.budget(SHARD, 1))
    tomorrow = NOON + timedelta(hours=24)
    pacer.steer(NOON)
    assert pacer.roll_days(tomorrow) == 1
    pacer.steer(tomorrow)
    assert pacer.roll_days(tomorrow) == 0
    redis_client.restore(keys.budget(SHARD, 1), 0, backup, replace=True)
    pacer.steer(tomorrow)
    assert pacer.roll_days(tomorrow) == 1


def test_a_document_that_is_as_it_was_is_not_decoded_again(catalog: CatalogStore) -> None:
    catalog.fill([campaign(1), campaign(2)])
    before = catalog.read_again([1, 2], {})
    catalog.publish(campaign(2, name="another"), serving=True)
    after = catalog.read_again([1, 2, 3], before)
    assert after[1] is before[1]
    assert after[2].campaign.name == "another"
    assert list(after) == [1, 2]


def test_factors_that_are_as_they_were_are_not_written_again(
    steering: SteeringStore, redis_client: redis.Redis
) -> None:
    steering.write({1: Factors(), 2: Factors()})
    before = redis_client.info("commandstats").get("cmdstat_hset", {}).get("calls", 0)
    steering.write({1: Factors(), 2: Factors()})
    after = redis_client.info("commandstats").get("cmdstat_hset", {}).get("calls", 0)
    assert after == before
    steering.write({1: Factors(pacing_ppm=5), 2: Factors()})
    assert steering.read([1, 2]) == {1: Factors(pacing_ppm=5), 2: Factors()}
