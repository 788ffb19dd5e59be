"""When money is made anew, and when not: who was stopped in between overwrites nothing."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from adctl.control.publishing import make_all, sync_all
from adctl.control.redis_watch import RedisWatch
from adctl.errors import StoreUnavailableError
from adctl.stores import keys
from adctl.stores.budgets import LedgerMovedOnError, Spent
from adctl.stores.event_rows import EventRow
from adctl.stores.events import EventStore
from adctl.stores.positions import POSTGRES, StreamPositions
from tests.integration.redis_past import Past

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.stores.stream import EventStream
    from tests.integration.house import House

COST = 1_500_000


def _today() -> date:
    return datetime.now(UTC).date()


def test_what_a_flusher_still_writes_of_the_server_before_is_waited_for(
    watch: RedisWatch,
    house: House,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    broken: Callable[[], list[str]],
) -> None:
    watch.look()
    past = Past(house.redis)
    house.show(house.bid())
    [entry] = stream.read("0-0", 10)
    watch.look()
    found: list[int] = []
    looking = threading.Thread(target=lambda: found.append(watch.look()))
    with pool.connection() as conn, conn.transaction():
        house.flusher.hold(conn)
        past.come_back()
        looking.start()
        looking.join(0.3)
        assert not found
        # What it had read before is stored, and nowhere in the stream that there is now.
        row = EventRow.of(entry.id, entry.decode())
        EventStore().make_partitions(conn, [row.event_date])
        EventStore().store(conn, [row], stream=stream.key)
        StreamPositions(stream.key).advance(conn, POSTGRES, entry.id)
    looking.join(10)
    assert found == [1]
    assert house.money.spent == COST
    assert broken() == []


def test_money_is_made_only_in_the_server_that_was_confirmed_and_from_no_older_ledger(
    watch: RedisWatch, house: House, stream: EventStream
) -> None:
    watch.look()
    house.show(house.bid())
    house.flusher.drain(100)
    [entry] = stream.read("0-0", 10)
    confirmed = (str(house.redis.get(keys.generation(0))),)
    newest = Spent(COST, COST, 0, (entry.id,), confirmed)
    assert house.budgets.sync(house.campaign, _today(), newest, anew=True)
    made = house.money
    before_it_froze = newest._replace(nanos=0, day_nanos=0, flushed_ids=("0-0",))
    with pytest.raises(LedgerMovedOnError):
        house.budgets.sync(house.campaign, _today(), before_it_froze, anew=True)
    other_server = newest._replace(nanos=0, confirmed=("1 0123456789abcdef",))
    with pytest.raises(StoreUnavailableError, match="not found this server right"):
        house.budgets.sync(house.campaign, _today(), other_server, anew=True)
    assert house.money == made
    # Who mends by hand has looked.
    regardless = before_it_froze._replace(confirmed=None)
    assert house.budgets.sync(house.campaign, _today(), regardless, anew=True)


def test_money_of_a_generation_that_is_over_is_not_taken_for_that_of_the_next(
    pool: ConnectionPool[psycopg.Connection],
    watch: RedisWatch,
    house: House,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch.look()
    house.redis.flushall()

    def made_and_found_wrong_again(*told: Any) -> int:
        served = make_all(*told)
        with pool.connection() as other:
            other.execute("UPDATE redis_mark SET generation = generation + 1, made = false")
        return served

    with monkeypatch.context() as patched:
        patched.setattr("adctl.control.redis_watch.make_all", made_and_found_wrong_again)
        watch.look()
    with pool.connection() as conn:
        assert conn.execute("SELECT generation, made FROM redis_mark").fetchall() == [(3, False)]
    assert watch.look() == 1
    assert house.money.adds_up


def test_nobody_else_makes_money_in_a_server_before_it_is_confirmed(
    watch: RedisWatch, house: House, pool: ConnectionPool[psycopg.Connection]
) -> None:
    watch.look()
    house.redis.flushall()
    plane = house.plane
    with pytest.raises(StoreUnavailableError, match="not found this server right"):
        sync_all(pool, plane.catalog, plane.budgets)
    assert not house.redis.exists(house.key)
    assert watch.look() == 1
    sync_all(pool, plane.catalog, plane.budgets)
    assert house.money.adds_up


def test_money_is_made_when_trackers_have_had_time_to_bring_what_was_forgotten(
    pool: ConnectionPool[psycopg.Connection],
    postgres: psycopg.Connection,
    watch: RedisWatch,
    house: House,
    broken: Callable[[], list[str]],
) -> None:
    watch.look()
    plane = house.plane
    patient = RedisWatch(
        pool, house.redis, plane.catalog, plane.budgets, [house.flusher], wait_sec=60
    )
    forgotten = house.bid()
    house.redis.flushall()
    assert [patient.look(), patient.look()] == [1, 0]
    assert not house.redis.exists(house.key)
    with pytest.raises(StoreUnavailableError, match="not found this server right"):
        sync_all(pool, plane.catalog, plane.budgets)
    assert house.show(forgotten) == "no_state"
    postgres.execute("UPDATE redis_mark SET began_at = now() - interval '61 seconds'")
    postgres.commit()
    assert patient.look() == 0
    assert (house.money.spent, house.money.late) == (COST, COST)
    assert broken() == []


def test_two_that_find_the_same_begin_one_generation(
    pool: ConnectionPool[psycopg.Connection], watch: RedisWatch, house: House
) -> None:
    watch.look()
    plane = house.plane
    other = RedisWatch(pool, house.redis, plane.catalog, plane.budgets, [house.flusher], 0)
    house.redis.flushall()
    kept = other._begin
    other._begin = lambda *told: (watch.look(), kept(*told))  # type: ignore[method-assign]
    assert other.look() == 1
    assert str(house.redis.get(keys.generation(0))).startswith("2 ")
    assert [watch.look(), other.look()] == [0, 0]
