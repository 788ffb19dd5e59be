"""What programs do over all campaigns by themselves, and how long single commands keep Redis."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.config import PostgresSettings, RedisSettings, Settings
from adctl.control.budget_report import read_budgets
from adctl.control.flushing import Flusher
from adctl.control.proving import Prover
from adctl.control.publishing import Making, make_all, relay_outbox, sync_all
from adctl.control.redis_watch import RedisWatch
from adctl.control.steering import Pacer
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.catalog_feed import CatalogFeed
from adctl.stores.migrations import migrate
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.steering import SteeringStore
from adctl.stores.stream import EventStream
from tests.bench.redis_commands import slowest
from tests.bench.year import make_campaigns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from adctl.streams.producer import OutgoingMessage

_BIDS = range(100, 102)
_TIMEOUT_MS = 60_000
_NOT_YET = 10_000


class Loop(NamedTuple):
    """Something done over all campaigns: seconds, and the slowest single command of Redis."""

    name: str
    took_sec: float
    command: str
    command_ms: float


def measure(postgres_url: str, redis_url: str, campaigns: int) -> Iterator[Loop]:
    """Do everything over ``campaigns``, in an empty database and a Valkey of nobody else's."""
    migrate(postgres_url)
    with psycopg.connect(postgres_url) as conn:
        make_campaigns(conn, campaigns)
    with (
        connect(redis_url, RedisSettings(timeout_ms=_TIMEOUT_MS)) as client,
        open_pool(postgres_url, PostgresSettings()) as pool,
    ):
        client.flushall()
        catalog, budgets = CatalogStore(client), Budgets(client)
        pacer = Pacer(catalog, budgets, SteeringStore(client))
        prover = Prover(pool, client)
        watch = RedisWatch(
            pool, client, catalog, budgets, [Flusher(pool, EventStream(client))], wait_sec=0
        )

        def make_anew() -> None:
            with pool.connection() as conn, conn.transaction():
                make_all(conn, catalog, budgets, Making(anew=True, regardless=True))

        def steer_anew() -> None:
            client.delete(keys.FACTORS)
            pacer.steer(datetime.now(UTC))

        def list_budgets() -> None:
            with pool.connection() as conn:
                read_budgets(conn, budgets, SteeringStore(client))

        def expire() -> None:
            _reserve(client, campaigns)
            budgets.expire(_BIDS[-1] + 1)

        def retire() -> None:
            expire()
            budgets.retire(_NOT_YET)

        began = time.perf_counter()
        watch.look()
        yield Loop("pacer: all money, for an empty Redis", time.perf_counter() - began, "", 0.0)
        feed = CatalogFeed(redis_url, Settings())
        for name, work in {
            "pacer: all money, made anew": make_anew,
            "pacer: catalog and money, where all is there": lambda: sync_all(
                pool, catalog, budgets
            ),
            "pacer: steering, for the first time": steer_anew,
            "pacer: steering": lambda: pacer.steer(datetime.now(UTC)),
            "pacer: has Redis lost anything": pacer.needs_sync,
            "pacer: begin days": lambda: pacer.roll_days(datetime.now(UTC)),
            "pacer: give back a minute's bids of all": expire,
            "pacer: forget an hour's expired bids of all": retire,
            "pacer, adctl: prove": lambda: _prove(client, prover, campaigns),
            "bidder: load the catalog": feed._refresh,
            "bidder: read the factors": feed._poll_factors,
            "budget list": list_budgets,
        }.items():
            yield _loop(client, name, work)
        feed.stop()


def outbox_sec(
    postgres_url: str,
    redis_url: str,
    campaigns: int,
    produce: Callable[[Sequence[OutgoingMessage]], None],
) -> float:
    """Return how long it takes to relay the changes of that many campaigns that wait."""
    migrate(postgres_url)
    with psycopg.connect(postgres_url) as conn:
        make_campaigns(conn, campaigns)
        conn.execute(
            """INSERT INTO outbox (campaign_id, message)
               SELECT c.id, jsonb_build_object(
                   'campaign_id', c.id, 'version', 1, 'action', 'campaign.create', 'actor', 'bench',
                   'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                   'serving', true, 'campaign',
                   to_jsonb(c) || jsonb_build_object('creatives', jsonb_build_array(to_jsonb(v))))
               FROM campaign AS c JOIN creative AS v ON v.campaign_id = c.id ORDER BY c.id"""
        )
    with (
        connect(redis_url, RedisSettings(timeout_ms=_TIMEOUT_MS)) as client,
        open_pool(postgres_url, PostgresSettings()) as pool,
    ):
        client.flushall()
        catalog, budgets, left = CatalogStore(client), Budgets(client), campaigns
        began = time.perf_counter()
        while left:
            left -= relay_outbox(pool, catalog, budgets, produce)
        return time.perf_counter() - began


def _loop(client: redis.Redis, name: str, work: Callable[[], object]) -> Loop:
    took: list[float] = []

    def timed() -> None:
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)

    worst = slowest(client, timed)
    return Loop(name, min(took), worst.name, worst.took_ms)


def _reserve(client: redis.Redis, campaigns: int) -> None:
    """Reserve for a bid of every campaign, in the same buckets every time."""
    for bucket in _BIDS:
        pipeline = client.pipeline(transaction=False)
        for number in range(1, campaigns + 1):
            budget = keys.budget(SHARD, number)
            pipeline.hincrby(keys.reservations(SHARD, bucket), str(number), 5)
            for field, nanos in (("available", -5), ("day_available", -5), ("reserved", 5)):
                pipeline.hincrby(budget, field, nanos)
            if len(pipeline) >= 1_000:
                pipeline.execute()
        pipeline.sadd(keys.buckets(SHARD), bucket)
        pipeline.execute()


def _prove(client: redis.Redis, prover: Prover, campaigns: int) -> None:
    if not client.exists(keys.buckets(SHARD)):
        _reserve(client, campaigns)
    if broken := prover.prove().breaches:
        raise SystemExit(f"the money does not add up: {broken[0]}")
