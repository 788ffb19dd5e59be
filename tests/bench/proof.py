"""What ``adctl budget prove`` takes, with spend, bids in flight and expired ones of a day."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from adctl.config import PostgresSettings, RedisSettings
from adctl.control.proving import Prover
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.stores.migrations import migrate
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from tests.bench.measurements import Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from adctl.models import Campaign
    from adctl.stores.endpoints import Endpoints

_MINUTES = 60
_BATCHES = 24
_ENTRIES_EACH = 100
_NANOS = 1_000_000


def measure(
    endpoints: Endpoints, campaigns: Sequence[Campaign], rounds: int
) -> Iterator[Measurement]:
    """Yield the seconds of a proof; it has to hold."""
    _fill_postgres(endpoints.postgres_url, campaigns)
    taken = []
    with (
        connect(endpoints.redis_url, RedisSettings()) as client,
        open_pool(endpoints.postgres_url, PostgresSettings()) as pool,
    ):
        _fill_redis(client, campaigns)
        for _ in range(rounds):
            began = time.perf_counter()
            proof = Prover(pool, client).prove()
            taken.append(time.perf_counter() - began)
            if proof.breaches:
                raise AssertionError(proof.breaches[0])
    yield Measurement(f"budget prove, {len(campaigns):,} campaigns", "s", taken)


def _fill_postgres(url: str, campaigns: Sequence[Campaign]) -> None:
    migrate(url)
    with psycopg.connect(url) as conn:
        conn.execute("INSERT INTO advertiser (name) VALUES ('bench')")
        with (
            conn.cursor() as cursor,
            cursor.copy(
                "COPY campaign (advertiser_id, name, status, bid_strategy, bid_amount_micros, "
                "daily_budget_nanos, total_budget_nanos, starts_at, timezone, pacing) FROM STDIN"
            ) as copy,
        ):
            for one in campaigns:
                bid, day, total = (
                    one.bid_amount_micros,
                    one.daily_budget_nanos,
                    one.total_budget_nanos,
                )
                copy.write_row(
                    (1, one.name, "active", "cpm", bid, day, total, one.starts_at, "UTC", "even")
                )
        conn.execute(
            """
            INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at)
            SELECT id || ':' || n, account, id, sign * %s, now()
            FROM campaign CROSS JOIN generate_series(1, %s) AS n
            CROSS JOIN (VALUES ('campaign', 1), ('exchange', -1)) AS side (account, sign)
            """,
            [_NANOS, _ENTRIES_EACH],
        )


def _fill_redis(client: redis.Redis, campaigns: Sequence[Campaign]) -> None:
    """Give every campaign spend, a bid in flight in every minute, and expired ones of a day."""
    reserved, expired = _MINUTES * _NANOS, _BATCHES * _NANOS
    pipeline = client.pipeline(transaction=False)
    for one in campaigns:
        key = keys.budget(SHARD, one.id)
        for field, nanos in (("spent", _ENTRIES_EACH * _NANOS), ("reserved", reserved)):
            pipeline.hincrby(key, field, nanos)
            pipeline.hincrby(key, "available", -nanos)
            pipeline.hincrby(key, "day_available", -nanos)
        pipeline.hincrby(key, "day_spent", _ENTRIES_EACH * _NANOS)
        pipeline.hincrby(key, "exposed", expired)
    amounts = {one.id: _NANOS for one in campaigns}
    for bucket in range(_MINUTES):
        pipeline.sadd(keys.buckets(SHARD), bucket)
        pipeline.hset(keys.reservations(SHARD, bucket), mapping=amounts)
    for batch in range(_BATCHES):
        pipeline.sadd(keys.exposed_batches(SHARD), batch)
        pipeline.hset(keys.exposed(SHARD, batch), mapping=amounts)
    pipeline.execute()
