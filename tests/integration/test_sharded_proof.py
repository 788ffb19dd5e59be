"""All money adds up over shards, too, and can be made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adctl.control import invariants
from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.proving import Prover
from adctl.control.reconciling import Reconciler
from adctl.stores import keys
from adctl.stores.catalog import CatalogStore
from adctl.stores.sharded_budgets import ShardedBudgets
from adctl.stores.stream import event_streams
from adctl.stores.tables import open_engine
from tests.integration.house import House

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings

SHARDS = 4


@pytest.fixture
def flushers(pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis) -> list[Flusher]:
    return [Flusher(pool, stream) for stream in event_streams(redis_client, SHARDS)]


@pytest.fixture
def house(
    settings: Settings, redis_client: redis.Redis, flushers: list[Flusher]
) -> Iterator[House]:
    """A house whose bids are made in each shard in turn."""
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    budgets = ShardedBudgets(redis_client, SHARDS)
    plane = ControlPlane(engine, CatalogStore(redis_client), budgets)
    yield House(plane, redis_client, flushers[0])
    engine.dispose()


def test_shares_on_their_way_and_events_in_all_streams_add_up(
    house: House,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    flushers: list[Flusher],
) -> None:
    prover = Prover(pool, redis_client, SHARDS)
    for number in range(2 * SHARDS):
        bid = house.bid()
        if number % 2:
            house.show(bid)
    assert prover.prove().breaches == ()
    for flusher in flushers[:2]:
        flusher.flush_once(100)
    redis_client.hset(keys.wanting(1), str(house.campaign_id), house.money.available // 2)
    assert house.budgets.rebalance() > 0
    assert prover.prove().breaches == ()
    for flusher in flushers:
        flusher.drain(100)
    proof = prover.prove()
    assert (proof.breaches, house.money.spent) == ((), SHARDS * 1_500_000)


def test_share_that_was_tampered_with_is_noticed_and_made_anew(
    house: House, pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis
) -> None:
    for _ in range(SHARDS):
        house.show(house.bid())
    redis_client.hincrby(keys.budget(2, house.campaign_id), "available", 7)
    broken = {breach.invariant for breach in Prover(pool, redis_client, SHARDS).prove().breaches}
    assert invariants.FLIGHT in broken
    reconciler = Reconciler(pool, redis_client, SHARDS)
    assert reconciler.repair((), "ann")
    assert reconciler.compare(()) == []
    assert house.money.spent == SHARDS * 1_500_000
    assert house.money.adds_up
