"""decide.lua on a real server: caps, budgets, prices and reservations of one request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adctl.delivery import reasons
from adctl.delivery.auction import Candidate, ImpAuction, Verdict
from adctl.delivery.pricing import second_price_cpm_micros
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    FrequencyCap,
    Status,
)
from adctl.money import cost_nanos_of
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets
from adctl.stores.redis import ClientScripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis


NOW_MS = 1_767_225_600_000
USER = "ab" * 16
HOLD_SEC = 120
HOUR_MS = 3_600_000
NO_ROADBLOCKS: Mapping[int, int] = MappingProxyType({})


def campaign(number: int, *, total: int, daily: int | None = None, caps: str = "") -> Campaign:
    return Campaign(
        id=number,
        advertiser_id=1,
        name=f"campaign {number}",
        status=Status.ACTIVE,
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=2_000_000,
        daily_budget_nanos=daily or total,
        total_budget_nanos=total,
        starts_at=datetime(2025, 1, 1, tzinfo=UTC),
        caps=tuple(FrequencyCap(*(int(n) for n in cap.split("/"))) for cap in caps.split()),
    )


def auction(
    *bids: tuple[Campaign, int],
    floor: int = 0,
    imp_id: str = "1",
    quantity_ppm: int = 1_000_000,
    together: Mapping[int, int] = NO_ROADBLOCKS,
) -> ImpAuction:
    """Return an auction; ``together`` says which campaigns are road-blocks of how many."""
    creative = Creative(
        id=1,
        campaign_id=1,
        name="c",
        kind=CreativeKind.BANNER,
        status=Status.ACTIVE,
        landing_url="https://a.example/",
        adomain=("a.example",),
    )
    candidates = (
        Candidate(c, creative, price, c.caps, floor, together=together.get(c.id, 0))
        for c, price in bids
    )
    return ImpAuction(imp_id, floor, tuple(candidates), quantity_ppm)


class House:
    """A ledger and the budgets it decides on."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client
        self.budgets = Budgets(client)
        self.ledger = RedisLedger(ClientScripts(client), HOLD_SEC)

    def fund(self, *campaigns: Campaign) -> None:
        for one in campaigns:
            self.budgets.sync(one, date(2026, 1, 1))

    def decide(
        self, *auctions: ImpAuction, user: str = USER, now_ms: int = NOW_MS, test: bool = False
    ) -> list[Verdict]:
        return self.ledger.decide(auctions, user, now_ms // 60_000, now_ms, test=test)


@pytest.fixture
def house(redis_client: redis.Redis) -> House:
    return House(redis_client)


def test_dearest_wins_at_the_second_price_plus_a_cent(house: House) -> None:
    dear, cheap = campaign(1, total=10**10), campaign(2, total=10**10)
    house.fund(dear, cheap)
    [verdict] = house.decide(auction((dear, 3_000_000), (cheap, 2_000_000)))
    assert (verdict.winner, verdict.runner_up, verdict.price_cpm_micros) == (0, 1, 2_010_000)
    assert verdict.reasons == (reasons.WON, reasons.OUTBID)


def test_winner_without_a_runner_up_bids_its_own_price(house: House) -> None:
    only = campaign(1, total=10**10)
    house.fund(only)
    [verdict] = house.decide(auction((only, 3_000_000), floor=500_000))
    assert verdict.price_cpm_micros == 3_000_000


@given(
    own=st.integers(1, 10**12),
    second=st.integers(1, 10**12),
    floor=st.integers(0, 10**12),
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_price_is_the_one_pricing_states(house: House, own: int, second: int, floor: int) -> None:
    own, second = max(own, second), min(own, second)
    floor = min(floor, second)
    house.redis.flushdb()
    dear, cheap = campaign(1, total=10**18), campaign(2, total=10**18)
    house.fund(dear, cheap)
    [verdict] = house.decide(auction((dear, own), (cheap, second), floor=floor))
    assert verdict.price_cpm_micros == second_price_cpm_micros(own, second, floor)


def test_winning_price_is_reserved_in_flight_day_and_bucket(house: House) -> None:
    only = campaign(1, total=10**10, daily=10**9)
    house.fund(only)
    house.decide(auction((only, 3_000_000)))
    state = house.budgets.read([1])[1]
    assert (state.available, state.reserved) == (10**10 - 3_000_000, 3_000_000)
    assert state.day_available == 10**9 - 3_000_000
    assert state.adds_up
    assert house.redis.hgetall(keys.reservations(0, NOW_MS // 60_000)) == {"1": "3000000"}


def test_campaign_out_of_money_steps_aside_for_the_next(house: House) -> None:
    poor, rich = campaign(1, total=2_999_999), campaign(2, total=10**10)
    today = campaign(3, total=10**10, daily=1)
    house.fund(poor, rich, today)
    [verdict] = house.decide(auction((poor, 3_000_000), (today, 2_500_000), (rich, 2_000_000)))
    assert verdict.reasons == (reasons.TOTAL_BUDGET, reasons.DAY_BUDGET, reasons.WON)


def test_campaign_without_money_state_does_not_bid(house: House) -> None:
    [verdict] = house.decide(auction((campaign(1, total=10**10), 1_000_000)))
    assert verdict.winner is None
    assert verdict.no_bid_reason == reasons.NO_MONEY_STATE
    assert not house.redis.exists(keys.budget(0, 1))


def test_budget_beyond_double_precision_is_still_exact(house: House) -> None:
    huge = campaign(1, total=10**18 - 1)
    house.fund(huge)
    house.decide(auction((huge, 1)))
    state = house.budgets.read([1])[1]
    assert state.available == 10**18 - 2
    assert state.adds_up


def test_concurrent_requests_sell_exactly_the_impressions_the_budget_holds(house: House) -> None:
    small = campaign(1, total=100 * 2_000_000)
    house.fund(small)
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(
            pool.map(lambda _: house.decide(auction((small, 2_000_000)), user="")[0], range(160))
        )
    assert sum(verdict.winner is not None for verdict in verdicts) == 100
    assert house.budgets.read([1])[1].available == 0


def test_bids_in_flight_count_against_the_cap(house: House) -> None:
    capped = campaign(1, total=10**10, caps="3/86400")
    house.fund(capped)
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(
            pool.map(lambda _: house.decide(auction((capped, 2_000_000)))[0], range(64))
        )
    assert sum(verdict.winner is not None for verdict in verdicts) == 3
    assert {v.no_bid_reason for v in verdicts if v.winner is None} == {reasons.FREQUENCY_CAP}


def test_bid_that_was_never_seen_stops_counting_when_its_hold_ends(house: House) -> None:
    capped = campaign(1, total=10**10, caps="1/86400")
    house.fund(capped)
    house.decide(auction((capped, 1)))
    [soon] = house.decide(auction((capped, 1)), now_ms=NOW_MS + HOLD_SEC * 1000)
    [later] = house.decide(auction((capped, 1)), now_ms=NOW_MS + 2 * HOLD_SEC * 1000)
    assert (soon.winner, later.winner) == (None, 0)


def test_unidentified_user_leaves_no_trace(house: House) -> None:
    capped = campaign(1, total=10**10, caps="1/86400")
    house.fund(capped)
    house.decide(auction((capped, 1)), user="")
    assert not house.redis.keys(keys.user(0, "*"))


def test_campaign_wins_one_impression_of_a_request(house: House) -> None:
    one, two = campaign(1, total=10**10), campaign(2, total=10**10)
    house.fund(one, two)
    bids = ((one, 3_000_000), (two, 2_000_000))
    first, second = house.decide(auction(*bids), auction(*bids, imp_id="2"))
    assert (first.winner, second.winner) == (0, 1)
    assert second.reasons[0] == reasons.SAME_REQUEST


def test_candidates_after_the_runner_up_are_not_looked_at(house: House) -> None:
    funded = [campaign(number, total=10**10) for number in (1, 2, 3)]
    house.fund(*funded)
    [verdict] = house.decide(auction(*((one, 1_000_000) for one in funded)))
    assert verdict.reasons == (reasons.WON, reasons.OUTBID, reasons.NOT_NEEDED)


def test_lost_script_cache_is_filled_again(house: House) -> None:
    only = campaign(1, total=10**10)
    house.fund(only)
    house.redis.script_flush()
    assert house.decide(auction((only, 1)))[0].winner == 0


@given(price=st.integers(1, 10**12), quantity_ppm=st.integers(1, 2**32 - 1))
@example(price=10**12, quantity_ppm=2**32 - 1)
@example(price=999_999_999_999, quantity_ppm=2**32 - 1)
@example(price=1, quantity_ppm=1)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_all_impressions_of_a_display_are_reserved_to_the_nano(
    house: House, price: int, quantity_ppm: int
) -> None:
    house.redis.flushdb()
    only = campaign(1, total=10**18)
    house.fund(only)
    house.decide(auction((only, price), quantity_ppm=quantity_ppm))
    state = house.budgets.read([1])[1]
    assert state.reserved == cost_nanos_of(price, quantity_ppm)
    assert state.adds_up


@pytest.mark.parametrize(("budget", "wins"), [(28_400_000, True), (28_399_999, False)])
def test_budget_has_to_cover_all_impressions_of_a_display(
    house: House, budget: int, wins: bool
) -> None:
    only = campaign(1, total=budget)
    house.fund(only)
    [verdict] = house.decide(auction((only, 2_000_000), quantity_ppm=14_200_000))
    assert (verdict.winner is not None) is wins
    assert house.budgets.read([1])[1].available == (0 if wins else budget)


def test_budget_of_sixteen_digits_does_not_cover_more(house: House) -> None:
    rich = campaign(1, total=4 * 10**15)
    house.fund(rich)
    [verdict] = house.decide(auction((rich, 10**12), quantity_ppm=2**32 - 1))
    assert verdict.no_bid_reason == reasons.TOTAL_BUDGET


def test_test_decides_the_same_and_leaves_no_trace(house: House) -> None:
    dear, cheap = campaign(1, total=10**10, caps="1/86400"), campaign(2, total=10**10)
    house.fund(dear, cheap)
    auctions = [auction((dear, 3_000_000), (cheap, 2_000_000), imp_id=name) for name in "12"]
    before = {key: house.redis.dump(key) for key in house.redis.scan_iter()}
    tried = house.decide(*auctions, test=True)
    assert {key: house.redis.dump(key) for key in house.redis.scan_iter()} == before
    assert tried == house.decide(*auctions)


@given(
    bids=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    rivals=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    budget=st.integers(1, 30),
    cap=st.integers(1, 4),
)
@hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_roadblock_takes_all_of_a_page_or_none(
    house: House, bids: list[int], rivals: list[int], budget: int, cap: int
) -> None:
    house.redis.flushdb()
    block = campaign(1, total=budget * 1_000_000, caps=f"{cap}/86400")
    others = [campaign(number, total=10**10) for number in (2, 3, 4)]
    house.fund(block, *others)
    auctions = [
        auction(
            *sorted(((block, bid * 1_000_000), (other, rival * 1_000_000)), key=lambda c: -c[1]),
            imp_id=str(place),
            together={1: 3},
        )
        for place, (bid, rival, other) in enumerate(zip(bids, rivals, others, strict=True))
    ]
    verdicts = house.decide(*auctions)
    winners = [
        offered.candidates[verdict.winner].campaign.id
        for offered, verdict in zip(auctions, verdicts, strict=True)
        if verdict.winner is not None
    ]
    fits = sum(bids) <= budget and cap >= 3
    beaten = any(rival > bid for bid, rival in zip(bids, rivals, strict=True))
    assert winners == ([1, 1, 1] if fits and not beaten else [2, 3, 4])
    state = house.budgets.read([1])[1]
    assert state.adds_up
    assert state.reserved == sum(
        verdict.price_cpm_micros for verdict in verdicts if winners == [1, 1, 1]
    )


def test_nothing_is_decided_when_others_could_follow_and_no_runner_up_is_found(
    house: House,
) -> None:
    rich, poor = campaign(1, total=10**10), campaign(2, total=1)
    house.fund(rich, poor)
    alone = msgspec.structs.replace(auction((rich, 2_000_000), (poor, 1_000_000)), more=True)
    assert house.decide(alone) == []
    assert house.budgets.read([1])[1].available == 10**10


def test_auction_is_decided_when_winner_and_runner_up_are_among_the_first(house: House) -> None:
    one, two = campaign(1, total=10**10), campaign(2, total=10**10)
    house.fund(one, two)
    bids = auction((one, 2_000_000), (two, 1_000_000))
    [verdict] = house.decide(msgspec.structs.replace(bids, more=True), test=True)
    assert [verdict] == house.decide(bids)
