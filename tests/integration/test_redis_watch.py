"""A Redis that is set back, emptied or replaced under the money: found, and made anew."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.proving import Prover
from adctl.control.redis_watch import RedisWatch
from adctl.errors import StoreUnavailableError
from adctl.stores import keys
from adctl.stores.budgets import LedgerMovedOnError, Spent
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis_marks import RedisMarks
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.stream import event_streams
from adctl.stores.tables import open_engine
from tests.integration.house import House
from tests.integration.redis_past import Past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.models import Event
    from adctl.stores.stream import EventStream, StreamEntry

COST = 1_500_000


@pytest.fixture
def sharded(
    settings: Settings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
) -> Iterator[House]:
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    plane = ControlPlane(engine, CatalogStore(redis_client), open_budgets(redis_client, 4))
    yield House(plane, redis_client, Flusher(pool, stream))
    engine.dispose()


def test_a_server_is_confirmed_once_and_then_left_alone(
    watch: RedisWatch, redis_client: redis.Redis
) -> None:
    assert [watch.look() for _ in range(4)] == [1, 0, 0, 0]
    run_id = redis_client.info("server")["run_id"]
    assert redis_client.get(keys.generation(0)) == f"1 {run_id}"


def test_watches_that_take_turns_in_any_order_raise_no_alarm(
    watch: RedisWatch,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    house: House,
) -> None:
    plane = house.plane
    other = RedisWatch(pool, redis_client, plane.catalog, plane.budgets, [house.flusher], 0)
    watch.look()
    marks = RedisMarks(redis_client)
    for _ in range(3):
        # One is frozen after it has moved the mark, before it has written it down.
        marks.advance(1)
        assert (other.look(), watch.look(), other.look()) == (0, 0, 0)


def test_money_of_an_older_state_is_made_anew_from_the_ledger_and_the_stream(
    watch: RedisWatch, house: House, redis_client: redis.Redis, broken: Callable[[], list[str]]
) -> None:
    watch.look()
    for generation in range(2, 5):
        past = Past(redis_client)
        house.show(house.bid())
        house.flusher.drain(100)
        before = house.money
        house.show(house.bid())
        watch.look()
        past.come_back()
        # Not flushed, so lost with the stream: the tracker's journal brings it again.
        house.show(house.bid())
        house.flusher.drain(100)
        assert watch.look() == 1
        assert house.money.spent == before.spent + COST
        assert house.money.adds_up
        assert broken() == []
        assert str(redis_client.get(keys.generation(0))).startswith(f"{generation} ")
        assert watch.look() == 0


def test_an_emptied_redis_gets_its_catalog_money_and_late_wins_again(
    watch: RedisWatch, house: House, redis_client: redis.Redis, broken: Callable[[], list[str]]
) -> None:
    watch.look()
    late = house.bid()
    house.budgets.expire(late.bucket + 1)
    assert house.show(late) == "late"
    house.show(house.bid())
    house.flusher.drain(100)
    lost_but_streamed = house.bid()
    for _ in range(3):
        redis_client.flushall()
        assert watch.look() == 1
        assert house.plane.catalog.active_ids() == {house.campaign_id}
        assert (house.money.spent, house.money.late) == (2 * COST, COST)
        assert broken() == []
    assert house.show(lost_but_streamed) == "late"
    assert (house.money.spent, house.money.late) == (3 * COST, 2 * COST)
    # What is late in the stream alone counts too.
    redis_client.delete(house.key)
    house.budgets.sync(house.campaign, _today(), Spent(2 * COST, 2 * COST, COST))
    assert (house.money.spent, house.money.late) == (3 * COST, 2 * COST)


def test_what_is_overspent_in_a_redis_from_the_past_is_late_or_cut(
    watch: RedisWatch,
    house: House,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    broken: Callable[[], list[str]],
) -> None:
    watch.look()
    past = Past(redis_client)
    for _ in range(3):
        house.show(house.bid())
    house.flusher.drain(100)
    watch.look()
    # Nearly all of the budget is spent, and the older state knows nothing of it.
    with postgres.transaction():
        postgres.execute(
            "UPDATE campaign SET total_budget_nanos = %s, daily_budget_nanos = %s",
            [3 * COST, 3 * COST],
        )
    past.come_back()
    in_flight = house.bid()
    watch.look()
    assert broken() == []
    house.show(in_flight)
    assert house.money.available == -COST
    assert house.money.cut + house.money.late >= COST
    assert broken() == []


def test_an_event_that_redis_counts_twice_has_its_campaign_made_anew(
    watch: RedisWatch,
    house: House,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    broken: Callable[[], list[str]],
) -> None:
    watch.look()
    bid = house.bid()
    house.show(bid)
    house.flusher.drain(100)
    redis_client.delete(keys.seen(0, bid.bucket))
    house.show(bid)
    assert watch.remake_recounted() == 0
    house.flusher.drain(100)
    assert house.money.spent == 2 * COST
    assert broken() == ["spend_is_booked"]
    assert watch.remake_recounted() == 1
    assert house.money.spent == COST
    assert broken() == []
    assert watch.remake_recounted() == 0
    assert postgres.execute("SELECT count(*) FROM recounted_campaign").fetchone() == (0,)


def test_an_event_told_twice_for_nothing_leaves_the_money_alone(
    watch: RedisWatch,
    house: House,
    append: Callable[..., None],
    make_event: Callable[..., Event],
) -> None:
    free = make_event("free", campaign_id=house.campaign_id, cost_nanos=0)
    append(free)
    house.flusher.drain(100)
    append(free)
    house.flusher.drain(100)
    assert watch.remake_recounted() == 0


def test_events_that_a_slow_clock_put_behind_the_position_are_brought_back(
    watch: RedisWatch,
    house: House,
    redis_client: redis.Redis,
    stream: EventStream,
    postgres: psycopg.Connection,
    broken: Callable[[], list[str]],
) -> None:
    house.show(house.bid())
    house.flusher.drain(100)
    [stored] = stream.read("0-0", 10)
    redis_client.delete(stream.key)
    # As a server whose clock is behind would number them: before what PostgreSQL has read.
    _add(redis_client, stream, stored, "5-1")
    house.show(house.bid())
    [late_entry] = stream.read("5-1", 10)
    redis_client.delete(stream.key)
    _add(redis_client, stream, stored, "5-1")
    _add(redis_client, stream, late_entry, "5-2")
    assert watch.look() == 1
    house.flusher.drain(100)
    assert postgres.execute("SELECT count(*) FROM event").fetchone() == (2,)
    assert broken() == []
    assert house.flusher.readmit() == 0


def test_a_reading_of_the_ledger_that_is_too_old_makes_no_money(
    watch: RedisWatch, house: House, redis_client: redis.Redis, stream: EventStream
) -> None:
    watch.look()
    house.show(house.bid())
    [entry] = stream.read("0-0", 10)
    before = house.money
    stream.trim(entry.id)
    read_before = Spent(0, 0, 0, ("0-0",))
    with pytest.raises(LedgerMovedOnError):
        house.budgets.sync(house.campaign, _today(), read_before, anew=True)
    assert house.money == before
    redis_client.delete(house.key)
    with pytest.raises(LedgerMovedOnError):
        house.budgets.sync(house.campaign, _today(), read_before)
    assert not redis_client.exists(house.key)
    assert house.budgets.sync(house.campaign, _today(), Spent(COST, COST, 0, (entry.id,)))
    assert house.money.spent == COST


def test_money_is_not_made_from_a_postgresql_that_was_restored_to_the_past(
    watch: RedisWatch, house: House, stream: EventStream
) -> None:
    watch.look()
    house.show(house.bid())
    [entry] = stream.read("0-0", 10)
    # PostgreSQL had confirmed it, and does not know it any more.
    stream.trim(entry.id)
    house.redis.flushall()
    house.redis.set(keys.trimmed(0), entry.id)
    with pytest.raises(StoreUnavailableError, match="restored to the past"):
        watch.look()
    assert not house.redis.exists(house.key)


def test_a_mark_that_is_behind_gives_a_redis_away_though_its_run_id_is_the_same(
    watch: RedisWatch, redis_client: redis.Redis
) -> None:
    watch.look()
    mark = int(str(redis_client.get(keys.mark(0))))
    redis_client.set(keys.mark(0), mark - 2)
    assert watch.look() == 1
    assert watch.look() == 0
    assert int(str(redis_client.get(keys.mark(0)))) > mark


def _today() -> date:
    return datetime.now(UTC).date()


def _add(client: redis.Redis, stream: EventStream, entry: StreamEntry, stream_id: str) -> None:
    client.xadd(stream.key, entry.fields, id=stream_id)


def test_a_shard_that_is_set_back_has_every_share_of_the_money_begin_anew(
    pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis, sharded: House
) -> None:
    plane = sharded.plane
    shards = range(plane.budgets.shards)
    flushers = [Flusher(pool, stream) for stream in event_streams(redis_client, len(shards))]
    watch = RedisWatch(pool, redis_client, plane.catalog, plane.budgets, flushers, 0)
    prover = Prover(pool, redis_client, len(shards))
    assert [watch.look(), watch.look()] == [len(shards), 0]
    for _ in shards:
        sharded.show(sharded.bid())
    for flusher in flushers:
        flusher.drain(100)
    for shard in shards:
        redis_client.delete(keys.mark(shard), keys.budget(shard, sharded.campaign_id))
        assert [watch.look(), watch.look()] == [1, 0]
        assert sharded.money.spent == len(shards) * COST
        assert prover.prove().breaches == ()
    generations = [redis_client.get(keys.generation(shard)) for shard in shards]
    assert [str(text).split()[0] for text in generations] == ["2"] * len(shards)
