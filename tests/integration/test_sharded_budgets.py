from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adctl.errors import StoreUnavailableError
from adctl.models import BidStrategy, Campaign, Status
from adctl.stores import keys
from adctl.stores.budgets import Spent
from adctl.stores.redis import Script
from adctl.stores.sharded_budgets import ShardedBudgets, open_budgets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.models import Event
    from adctl.stores.redis import Call

SHARDS = 5
DAY = date(2026, 3, 1)
BIG = 9 * 10**18 // 1000


def campaign(total: int, daily: int | None = None) -> Campaign:
    return Campaign(
        id=7,
        advertiser_id=1,
        name="Spring",
        status=Status.ACTIVE,
        total_budget_nanos=total,
        daily_budget_nanos=total if daily is None else daily,
        starts_at=datetime(2026, 1, 1, tzinfo=UTC),
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=1,
    )


class CrashError(Exception):
    """The program ends here."""


class House:
    """A campaign in five shards, sold from and rebalanced, with programs that die in between."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client
        self.budgets = ShardedBudgets(client, SHARDS)
        self.total = self.daily = 0
        self.day = DAY

    def sync(self, total: int, daily: int) -> None:
        self.total, self.daily = total, daily
        self.budgets.sync(campaign(total, daily), self.day)

    def reserve(self, shard: int, nanos: int) -> bool:
        """Reserve as decide.lua does, or say what is wanted."""
        key = keys.budget(shard, 7)
        left = self.redis.hmget(key, "available", "day_available")
        if min(int(amount) for amount in left) < nanos:
            self.redis.hset(keys.wanting(shard), "7", nanos)
            return False
        for field in ("available", "day_available"):
            self.redis.hincrby(key, field, -nanos)
        self.redis.hincrby(key, "reserved", nanos)
        return True

    def available(self) -> list[int]:
        return [
            int(self.redis.hget(keys.budget(shard, 7), "available") or 0) for shard in range(SHARDS)
        ]

    def check(self) -> None:
        shares = self.budgets.read_shares([7])[7]
        assert shares.add_up
        assert all(
            state.spent + state.reserved + state.available == state.budget
            for state in shares.states
        )
        whole = shares.whole()
        assert whole.adds_up
        assert (whole.budget, whole.day_budget) == (self.total, self.daily)


@pytest.fixture
def house(redis_client: redis.Redis) -> House:
    return House(redis_client)


def test_new_budget_is_divided_evenly_and_adds_up(house: House) -> None:
    house.sync(1003, 503)
    assert house.available() == [203, 200, 200, 200, 200]
    house.check()


def test_amounts_beyond_floating_point_are_exact(house: House) -> None:
    house.sync(BIG + 1, BIG - 1)
    house.reserve(3, 1)
    house.redis.hset(keys.wanting(2), "7", BIG // 2)
    house.budgets.rebalance()
    house.check()
    assert sum(house.available()) == BIG


def test_shard_that_ran_dry_gets_from_the_others(house: House) -> None:
    house.sync(1000, 1000)
    assert house.reserve(2, 200)
    assert not house.reserve(2, 10)
    assert house.budgets.rebalance() > 0
    assert house.reserve(2, 10)
    house.check()
    assert house.redis.hgetall(keys.wanting(2)) == {}


def test_little_money_is_brought_together_where_it_is_asked_for(house: House) -> None:
    house.sync(20, 20)
    assert not house.reserve(4, 20)
    house.budgets.rebalance()
    assert house.available() == [0, 0, 0, 0, 20]
    assert house.reserve(4, 20)


def test_nothing_is_moved_where_nothing_is_left(house: House) -> None:
    house.sync(10, 10)
    for shard in range(SHARDS):
        assert house.reserve(shard, 2)
        assert not house.reserve(shard, 2)
    assert house.budgets.rebalance() == 0
    house.check()


def test_money_of_a_day_is_moved_apart_from_the_flight(house: House) -> None:
    house.sync(10_000, 100)
    assert house.reserve(1, 20)
    assert not house.reserve(1, 60)
    house.budgets.rebalance()
    assert house.reserve(1, 60)
    assert sum(house.available()) == 9920
    house.check()


def test_lowered_budget_is_taken_back_from_all_shards_at_once(house: House) -> None:
    house.sync(1000, 1000)
    house.sync(400, 400)
    assert house.available() == [80] * SHARDS
    house.sync(0, 0)
    assert house.available() == [0] * SHARDS
    house.check()


def test_budget_lowered_below_what_is_spent_leaves_nothing_to_sell(house: House) -> None:
    house.sync(1000, 1000)
    assert all(house.reserve(shard, 150) for shard in range(SHARDS))
    house.sync(600, 600)
    assert max(house.available()) <= 0
    assert sum(house.available()) == -150
    house.check()
    assert house.budgets.read([7])[7].cut == 150


def test_history_is_the_first_shards_and_the_rest_is_divided(redis_client: redis.Redis) -> None:
    budgets = ShardedBudgets(redis_client, SHARDS)
    assert budgets.sync(campaign(1000, 500), DAY, Spent(300, 100))
    assert not budgets.sync(campaign(1000, 500), DAY, Spent(300, 100))
    state = budgets.read([7])[7]
    assert (state.spent, state.available, state.day_spent, state.day_available) == (
        *(300, 700),
        *(100, 400),
    )
    available = [redis_client.hget(keys.budget(shard, 7), "available") for shard in range(SHARDS)]
    assert available == ["140"] * SHARDS


def test_unflushed_spend_is_found_in_every_shards_stream(
    redis_client: redis.Redis, make_event: Callable[..., Event]
) -> None:
    for shard in range(SHARDS):
        event = make_event(f"e{shard}", campaign_id=7, cost_nanos=10)
        fields = {"e": msgspec.json.encode(event), "late": "0", "odd": ""}
        redis_client.xadd(keys.events(shard), fields)
    budgets = ShardedBudgets(redis_client, SHARDS)
    budgets.sync(campaign(1000), DAY, Spent(100, 100))
    state = budgets.read([7])[7]
    assert (state.spent, state.available) == (150, 850)
    assert state.adds_up


def test_new_day_begins_in_every_shard_with_even_shares(house: House) -> None:
    house.sync(10_000, 100)
    assert house.reserve(0, 20)
    assert house.budgets.roll_day(7, DAY + timedelta(days=1))
    assert not house.budgets.roll_day(7, DAY + timedelta(days=1))
    state = house.budgets.read([7])[7]
    assert (state.day, state.day_available, state.reserved) == ("2026-03-02", 80, 20)
    days = [house.redis.hget(keys.budget(shard, 7), "day_available") for shard in range(SHARDS)]
    assert days == ["16"] * SHARDS
    house.check()


def test_money_of_a_new_day_waits_for_a_shard_that_is_in_the_old_one(house: House) -> None:
    house.sync(1000, 1000)
    for shard in range(SHARDS - 1):
        house.budgets._all[shard].roll_day(7, DAY + timedelta(days=1))
    house.reserve(4, 200)
    house.reserve(4, 10)
    house.budgets.rebalance()
    assert house.available()[4] == 0
    house.check()
    house.budgets.roll_day(7, DAY + timedelta(days=1))
    house.check()
    assert house.reserve(4, 10)


def test_shard_that_lost_its_memory_makes_all_begin_anew_from_the_ledger(house: House) -> None:
    house.sync(1000, 1000)
    house.redis.hset(keys.wanting(1), "7", 900)
    house.budgets.rebalance()
    house.redis.delete(keys.budget(2, 7))
    assert house.budgets.read([7]) == {}
    house.budgets.sync(campaign(1000), DAY, Spent(100, 100))
    state = house.budgets.read([7])[7]
    assert (state.spent, state.available) == (100, 900)
    house.check()


def test_first_shard_that_lost_its_memory_is_no_reason_to_count_the_others_twice(
    house: House,
) -> None:
    house.sync(1000, 1000)
    house.redis.delete(keys.budget(0, 7))
    assert house.budgets.read([7]) == {}
    house.sync(1000, 1000)
    assert sum(house.available()) == 1000
    house.check()


def test_transfer_of_an_epoch_that_is_over_is_given_to_nobody(house: House) -> None:
    house.sync(1000, 1000)
    epoch = str(house.redis.hget(keys.budget(0, 7), "epoch"))
    house.redis.delete(keys.budget(3, 7))
    house.sync(1000, 1000)
    given = Script("give_share").run(
        house.redis, [keys.budget(1, 7)], [epoch, 0, 99, 500, 500, DAY.isoformat()]
    )
    assert given == 0
    house.check()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, SHARDS - 1), st.integers(1, 300)),
        st.tuples(st.just("sync"), st.integers(0, 2000), st.integers(0, 2000)),
        st.tuples(st.just("rebalance"), st.just(0), st.just(0)),
        st.tuples(st.just("lose"), st.integers(0, SHARDS - 1), st.just(0)),
        st.tuples(st.just("roll"), st.just(0), st.just(0)),
        # The program dies at the n-th script from here, before or (1) after it has run.
        st.tuples(st.just("die"), st.integers(0, 12), st.integers(0, 1)),
    ),
    max_size=25,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_shares_and_transfers_come_to_the_budgets_whoever_dies_in_between(
    redis_client: redis.Redis, steps: Sequence[tuple[str, int, int]]
) -> None:
    redis_client.flushdb()
    house = House(redis_client)
    house.sync(1000, 700)
    with Reaper() as reaper:
        for step, one, other in steps:
            with suppress(CrashError):
                run_step(house, step, one, other, reaper)
            reaper.let_live()
            while (
                7 not in house.budgets.read([7]) or house.budgets.read([7])[7].budget != house.total
            ):
                # What the pacer does within two seconds.
                house.sync(house.total, house.daily)
            house.check()
    house.budgets.rebalance([7])
    house.check()
    shares = house.budgets.read_shares([7])[7]
    assert shares.on_their_way() == []
    assert sum(house.available()) <= 0 or min(house.available()) >= 0


def run_step(house: House, step: str, one: int, other: int, reaper: Reaper) -> None:
    match step:
        case "reserve":
            house.reserve(one, other)
        case "sync":
            house.sync(one, other)
        case "rebalance":
            house.budgets.rebalance()
        case "lose":
            house.redis.delete(keys.budget(one, 7))
        case "roll":
            house.day += timedelta(days=1)
            house.budgets.roll_day(7, house.day)
        case "die":
            reaper.die_at(one, after=bool(other))
            house.reserve(0, 1)
            house.budgets.rebalance([7])
            house.sync(house.total + 10, house.daily + 7)


class Reaper:
    """Ends the program at a script, which has then run or not; of many at once only some have."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._after = False
        self._run, self._run_all = Script.run, Script.run_all

    def die_at(self, number: int, *, after: bool) -> None:
        self._left, self._after = number, after

    def let_live(self) -> None:
        self._left = None

    def __enter__(self) -> Self:
        reaper = self

        def run(script: Script, client: Any, keys: Any, args: Any) -> Any:
            dies = reaper._dies()
            if dies and not reaper._after:
                raise CrashError
            reply = reaper._run(script, client, keys, args)
            if dies:
                raise CrashError
            return reply

        def run_all(script: Script, client: Any, calls: Sequence[Call]) -> list[Any]:
            return [run(script, client, *call) for call in calls]

        Script.run, Script.run_all = run, run_all  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Script.run, Script.run_all = self._run, self._run_all  # type: ignore[method-assign]

    def _dies(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0


def test_one_shard_needs_no_sharing(redis_client: redis.Redis) -> None:
    budgets = open_budgets(redis_client, 1)
    budgets.sync(campaign(1000), DAY)
    assert "epoch" not in redis_client.hgetall(keys.budget(0, 7))
    assert not isinstance(budgets, ShardedBudgets)


def test_lost_connection_is_told_as_such() -> None:
    budgets = ShardedBudgets(redis.Redis(port=1), SHARDS)
    with pytest.raises(StoreUnavailableError):
        budgets.rebalance()
