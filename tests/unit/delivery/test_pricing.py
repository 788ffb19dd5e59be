from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.pricing import (
    base_bid_micros,
    bid_cpm_micros,
    competition_factor_ppm,
    pacing_factor_ppm,
    performance_ppm,
    second_price_cpm_micros,
    smoothed_rate_ppm,
)
from adctl.models import BidStrategy, Campaign, Factors
from adctl.money import MAX_CPM_MICROS

if TYPE_CHECKING:
    from collections.abc import Callable

NEUTRAL = Factors()
CPM, CPC, CPA = BidStrategy.CPM, BidStrategy.CPC, BidStrategy.CPA


def test_a_cpm_campaign_bids_its_amount(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(bid_amount_micros=2_345_678)
    assert base_bid_micros(campaign) == 2_345_678
    assert bid_cpm_micros(campaign, NEUTRAL) == 2_345_678


def test_a_click_is_worth_its_amount_times_the_click_rate_of_a_thousand_impressions(
    make_campaign: Callable[..., Campaign],
) -> None:
    # 0.50 a click at 0.2 %: two clicks of a thousand impressions are worth 1.00.
    campaign = make_campaign(bid_strategy=CPC, bid_amount_micros=500_000)
    assert bid_cpm_micros(campaign, Factors(ctr_ppm=2_000)) == 1_000_000


def test_a_conversion_is_worth_its_amount_times_both_rates(
    make_campaign: Callable[..., Campaign],
) -> None:
    # 40.00 a conversion at 0.2 % clicks, 5 % of which convert: 0.1 conversions per thousand.
    campaign = make_campaign(bid_strategy=CPA, bid_amount_micros=40_000_000)
    assert bid_cpm_micros(campaign, Factors(ctr_ppm=2_000, cvr_ppm=50_000)) == 4_000_000


@pytest.mark.parametrize(
    ("strategy", "expected"), [(CPM, 1_000_000), (CPC, 3_000_000), (CPA, 60_000)]
)
def test_performance_is_the_units_of_payment_a_thousand_impressions_bring(
    make_campaign: Callable[..., Campaign], strategy: BidStrategy, expected: int
) -> None:
    factors = Factors(ctr_ppm=3_000, cvr_ppm=20_000)
    assert performance_ppm(make_campaign(bid_strategy=strategy), factors) == expected


def test_pacing_lowers_a_bid_and_stops_it(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(bid_amount_micros=2_000_000)
    assert bid_cpm_micros(campaign, Factors(pacing_ppm=250_000)) == 500_000
    assert bid_cpm_micros(campaign, Factors(pacing_ppm=0)) == 0


@pytest.mark.parametrize(
    ("written", "taken"), [(-1, 0), (400_000, 400_000), (1_000_001, 1_000_000)]
)
def test_factors_stay_between_nothing_and_one(written: int, taken: int) -> None:
    assert pacing_factor_ppm(Factors(pacing_ppm=written)) == taken
    assert competition_factor_ppm(Factors(competition_ppm=written)) == taken


def test_a_bid_rounds_down_to_a_micro(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(bid_amount_micros=3)
    assert bid_cpm_micros(campaign, Factors(pacing_ppm=999_999)) == 2


def test_a_bid_never_exceeds_the_highest_price(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(bid_strategy=CPC, bid_amount_micros=MAX_CPM_MICROS)
    assert bid_cpm_micros(campaign, Factors(ctr_ppm=1_000_000)) == MAX_CPM_MICROS


@given(
    amount=st.integers(-(10**18), 10**18),
    strategy=st.sampled_from(BidStrategy),
    ppm=st.tuples(*[st.integers(-(10**12), 10**12)] * 4),
)
def test_every_bid_is_a_price(
    make_campaign: Callable[..., Campaign],
    amount: int,
    strategy: BidStrategy,
    ppm: tuple[int, int, int, int],
) -> None:
    campaign = make_campaign(bid_strategy=strategy, bid_amount_micros=amount)
    assert 0 <= bid_cpm_micros(campaign, Factors(*ppm)) <= MAX_CPM_MICROS


def test_without_data_a_rate_is_the_prior() -> None:
    assert smoothed_rate_ppm(0, 0, 1_000, 1_000) == 1_000


def test_with_much_data_a_rate_is_the_observed_one() -> None:
    assert abs(smoothed_rate_ppm(20_000, 1_000_000, 1_000, 1_000) - 20_000) < 25


def test_one_lucky_click_hardly_moves_a_rate() -> None:
    assert smoothed_rate_ppm(1, 1, 1_000, 1_000) == 1_998


def test_a_prior_without_weight_leaves_the_data_alone() -> None:
    assert smoothed_rate_ppm(1, 4, 1_000, 0) == 250_000
    assert smoothed_rate_ppm(0, 0, 1_000, 0) == 1_000


def test_more_clicks_than_impressions_count_as_all_of_them() -> None:
    assert smoothed_rate_ppm(50, 10, 0, 0) == 1_000_000


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_smoothed_rate_lies_between_prior_and_observation(
    successes: int, trials: int, prior_ppm: int, weight: int
) -> None:
    observed = min(successes, trials) * 1_000_000 // trials if trials else prior_ppm
    rate = smoothed_rate_ppm(successes, trials, prior_ppm, weight)
    assert min(observed, prior_ppm) <= rate <= max(observed, prior_ppm) + 1


def test_the_winner_pays_a_cent_more_than_the_runner_up() -> None:
    assert second_price_cpm_micros(own=3_000_000, runner_up=2_000_000, floor=500_000) == 2_010_000


def test_the_winner_pays_at_least_the_floor() -> None:
    assert second_price_cpm_micros(own=3_000_000, runner_up=400_000, floor=500_000) == 500_000


def test_the_winner_never_pays_more_than_it_bid() -> None:
    assert second_price_cpm_micros(own=2_005_000, runner_up=2_000_000, floor=0) == 2_005_000


def test_without_a_runner_up_the_winner_pays_its_bid() -> None:
    assert second_price_cpm_micros(own=3_000_000, runner_up=None, floor=500_000) == 3_000_000
