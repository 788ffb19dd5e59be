"""What rejected events cost is spent, once, whatever becomes of Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.proving import Prover
from adctl.control.rejected import Fate, RejectedDesk
from adctl.models import Event, EventKind
from adctl.stores.catalog import CatalogStore
from adctl.stores.sharded_budgets import ShardedBudgets
from adctl.stores.stream import event_streams
from adctl.stores.tables import open_engine
from tests.integration.house import House
from tests.integration.rejected.refused import (
    COST,
    broken,
    fates,
    in_foreign_currency,
    killed_before_the_flush,
    ledger,
    make_anew,
    not_holding,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import pytest
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.stores.endpoints import Endpoints
    from adctl.stores.stream import EventStream

    MakeEvent = Callable[..., Event]
    Pool = ConnectionPool[psycopg.Connection]


def test_what_waits_is_spent_and_the_proof_says_that_it_waits(
    house: House, prover: Prover, postgres: psycopg.Connection
) -> None:
    broken(house)
    assert not_holding(prover) == {"nothing_rejected": COST}
    assert ledger(postgres) == 0


def test_events_that_cost_nothing_do_not_break_the_proof(house: House, prover: Prover) -> None:
    broken(house, EventKind.CLICK)
    assert not_holding(prover) == {}


def test_an_entry_whose_cost_cannot_be_known_breaks_the_proof(
    house: House, prover: Prover, redis_client: redis.Redis, stream: EventStream
) -> None:
    redis_client.xadd(stream.key, {"e": b"{", "late": "0", "odd": "taken"})
    house.flusher.drain(100)
    assert not_holding(prover) == {"nothing_rejected": "1 of unknown cost"}


def test_money_that_waits_for_no_campaign_breaks_the_proof(
    prover: Prover, house: House, make_event: MakeEvent, append: Callable[..., None]
) -> None:
    append(make_event("a", campaign_id=2**40, cost_nanos=5), make_event("b", campaign_id=None))
    house.flusher.drain(100)
    assert not_holding(prover) == {"nothing_rejected": 2_500_005}


def test_money_of_what_waits_is_never_handed_back(
    house: House, prover: Prover, pool: Pool, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    broken(house)
    before = house.money
    house.redis.delete(house.key)
    make_anew(pool, house)
    assert house.money == before
    assert fates(desk) == [Fate.STORED]
    make_anew(pool, house)
    assert house.money == before
    assert ledger(postgres) == before.spent == COST
    assert not_holding(prover) == {}


def test_what_was_billed_late_is_late_when_the_money_is_made_anew(
    house: House, pool: Pool, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    bid = house.bid()
    house.budgets.expire(bid.bucket + 2)
    assert house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house)) == "late"
    house.flusher.drain(100)
    make_anew(pool, house)
    assert house.money.late == COST
    assert fates(desk) == [Fate.STORED]
    assert rows(postgres, "SELECT late, odd FROM event") == [(True, "late")]
    make_anew(pool, house)
    assert house.money.late == COST


def test_an_entry_on_its_way_back_is_counted_once(
    house: House,
    prover: Prover,
    pool: Pool,
    stream: EventStream,
    desk: RejectedDesk,
    monkeypatch: pytest.MonkeyPatch,
    postgres: psycopg.Connection,
) -> None:
    name = broken(house)
    killed_before_the_flush(desk, monkeypatch)
    assert stream.length() == 2
    assert not_holding(prover) == {"nothing_rejected": COST}
    make_anew(pool, house)
    assert house.money.spent == COST
    # What was put back goes its way without the one who put it there.
    house.flusher.drain(100)
    assert ledger(postgres) == house.money.spent == COST
    assert not_holding(prover) == {}
    assert name not in {str(entry.ref) for entry in desk.waiting()}


def test_an_event_that_was_stored_meanwhile_is_a_duplicate(
    house: House, prover: Prover, desk: RejectedDesk, postgres: psycopg.Connection, pool: Pool
) -> None:
    bid = house.bid()
    house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
    house.flusher.drain(100)
    house.redis.delete(*house.redis.keys("adctl:{s0}:seen:*"))
    house.show(bid)
    house.flusher.drain(100)
    assert fates(desk) == [Fate.DUPLICATE]
    assert ledger(postgres) == COST
    # Redis has counted it twice, and what comes of that is known.
    assert rows(postgres, "SELECT campaign_id FROM recounted_campaign") == [(house.campaign_id,)]
    make_anew(pool, house)
    assert not_holding(prover) == {}


def test_an_event_that_is_refused_again_waits_once(
    house: House, prover: Prover, pool: Pool, postgres: psycopg.Connection
) -> None:
    bid = house.bid()
    for _ in range(2):
        house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
        house.flusher.drain(100)
        house.redis.delete(*house.redis.keys("adctl:{s0}:seen:*"))
    assert rows(postgres, "SELECT count(*) FROM rejected_event") == [(1,)]
    assert rows(postgres, "SELECT campaign_id FROM recounted_campaign") == [(house.campaign_id,)]
    make_anew(pool, house)
    assert house.money.spent == COST
    assert not_holding(prover) == {"nothing_rejected": COST}


def test_a_bid_that_was_billed_by_another_event_costs_nothing_when_put_back(
    house: House, desk: RejectedDesk, postgres: psycopg.Connection, prover: Prover
) -> None:
    bid = house.bid()
    house.show(bid)

    def billed_again(event: Event) -> Event:
        other = msgspec.structs.replace(event, event_id=f"{bid.bid_id}:bill", kind=EventKind.BILL)
        return in_foreign_currency(house)(other)

    assert house.tell(bid, EventKind.IMPRESSION, billed_again) == "rebilled"
    house.flusher.drain(100)
    assert not_holding(prover) == {}
    assert fates(desk) == [Fate.STORED]
    assert ledger(postgres) == house.money.spent == COST


def test_of_rows_that_do_not_say_so_one_event_bills_a_bid(
    house: House, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    bid = house.bid()
    house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
    house.tell(
        bid,
        EventKind.BILL,
        lambda event: msgspec.structs.replace(in_foreign_currency(house)(event), cost_nanos=COST),
    )
    house.flusher.drain(100)
    rows(postgres, "UPDATE rejected_event SET late = NULL, odd = NULL RETURNING 1")
    assert fates(desk) == [Fate.STORED, Fate.STORED]
    assert ledger(postgres) == COST


def test_over_several_shards_money_is_kept_and_put_back_where_it_was(
    settings: Settings, postgres: psycopg.Connection, pool: Pool, redis_client: redis.Redis
) -> None:
    shards = 3
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    budgets = ShardedBudgets(redis_client, shards)
    flushers = [Flusher(pool, stream) for stream in event_streams(redis_client, shards)]
    house = House(
        ControlPlane(engine, CatalogStore(redis_client), budgets), redis_client, *flushers[:1]
    )
    bids = [house.bid() for _ in range(24)]
    for bid in bids:
        house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
    for flusher in flushers:
        flusher.drain(100)
    prover, desk = Prover(pool, redis_client, shards), RejectedDesk(pool, redis_client, shards)
    assert {entry.ref.shard for entry in desk.waiting()} == {bid.shard for bid in bids}
    assert len({bid.shard for bid in bids}) > 1
    before = house.money
    assert before.spent == 24 * COST
    redis_client.delete(f"adctl:{{s1}}:budget:{house.campaign_id}")
    make_anew(pool, house)
    assert (house.money.spent, house.money.available) == (before.spent, before.available)
    assert fates(desk) == [Fate.STORED] * 24
    make_anew(pool, house)
    assert (house.money.spent, house.money.available) == (before.spent, before.available)
    assert not_holding(prover) == {}
    engine.dispose()


def test_reconcile_says_what_waits_and_leaves_its_money_alone(
    house: House, endpoints: Endpoints
) -> None:
    broken(house)
    house.redis.hincrby(house.key, "spent", -COST)
    house.redis.hincrby(house.key, "available", COST)
    env = {
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    line = ["budget", "reconcile", "--repair", "--yes", "--output", "json"]
    done = CliRunner().invoke(app, line, env=env, prog_name="adctl")
    assert done.exit_code == 1, done.output
    [waits] = [row for row in json.loads(done.stdout) if row["what"] == "nothing_rejected"]
    assert "adctl rejected list" in waits["cause"]
    assert waits["repair"] == ""
    assert house.money.spent == COST
