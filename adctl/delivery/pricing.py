"""What a campaign bids for one impression, and what the winner pays.

bid = base bid * performance multiplier * pacing factor * competition estimate, but never above the
campaign's ceiling. Prices are CPM in micros; rates and factors are parts per million; all of it is
integer arithmetic.
"""

from __future__ import annotations

import msgspec

from adctl.models import BidStrategy, Campaign, Factors
from adctl.money import MAX_CPM_MICROS

PPM = 1_000_000

# What a rate is taken to be before there is data, and how many trials that belief is worth: the
# usual order of a display banner's click rate, and of a landing page's conversion rate.
PRIOR_CTR_PPM = 1_000
PRIOR_CTR_IMPRESSIONS = 1_000
PRIOR_CVR_PPM = 10_000
PRIOR_CVR_CLICKS = 100

# OpenRTB's second price "plus": what the winner pays above the runner-up.
SECOND_PRICE_STEP_MICROS = 10_000

_IMPRESSIONS_PER_CPM = 1_000


def ceiling_micros(campaign: Campaign, default_micros: int = MAX_CPM_MICROS) -> int:
    """Return the most the campaign bids for 1,000 impressions.

    Its own, else ``default_micros`` where its bids are worked out from rates that strangers' clicks
    can raise. A CPM campaign bids what somebody wrote.
    """
    if campaign.max_cpm_micros is not None:
        return campaign.max_cpm_micros
    return MAX_CPM_MICROS if campaign.bid_strategy is BidStrategy.CPM else default_micros


def bid_cpm_micros(
    campaign: Campaign, factors: Factors, default_max_micros: int = MAX_CPM_MICROS
) -> int:
    """Return the campaign's bid for one impression, as a CPM. 0 means that it does not bid.

    Rounded down to a micro. Never above its ceiling (ceiling_micros), and never above what the
    operator's amount is worth: pacing and competition only lower a bid.
    """
    return min(uncapped_bid_micros(campaign, factors), ceiling_micros(campaign, default_max_micros))


def uncapped_bid_micros(campaign: Campaign, factors: Factors) -> int:
    """Return what the campaign would bid without a ceiling; at most MAX_CPM_MICROS."""
    exact = (
        base_bid_micros(campaign)
        * performance_ppm(campaign, factors)
        * pacing_factor_ppm(factors)
        * competition_factor_ppm(factors)
    )
    return min(exact // PPM**3, MAX_CPM_MICROS)


def deal_ceiling_micros(
    campaign: Campaign, price_micros: int | None, default_max_micros: int = MAX_CPM_MICROS
) -> int:
    """Return the most the campaign bids for a deal: of a price somebody wrote, only its own."""
    default = default_max_micros if price_micros is None else MAX_CPM_MICROS
    return ceiling_micros(campaign, default)


def uncapped_deal_bid_micros(
    campaign: Campaign, price_micros: int | None, factors: Factors, *, guaranteed: bool
) -> int:
    """Return what the campaign would bid for a deal without a ceiling; 0: it does not bid.

    ``price_micros`` is what it offers for the deal, or None: as in the open auction. A guaranteed
    deal must be bid on, whatever the pace.
    """
    unpaced = msgspec.structs.replace(factors, pacing_ppm=PPM, competition_ppm=PPM)
    whole = uncapped_bid_micros(campaign, unpaced) if price_micros is None else price_micros
    if guaranteed:
        return whole
    return whole * pacing_factor_ppm(factors) * competition_factor_ppm(factors) // PPM**2


def base_bid_micros(campaign: Campaign) -> int:
    """Return what the operator offers: per 1,000 impressions, per click or per conversion."""
    return max(0, campaign.bid_amount_micros)


def performance_ppm(campaign: Campaign, factors: Factors) -> int:
    """Return how much of its unit of payment 1,000 impressions are expected to bring.

    For CPM that is 1. For CPC it is the clicks expected of 1,000 impressions, for CPA the
    conversions: click rate * conversion rate * 1,000.
    """
    ctr, cvr = _rate(factors.ctr_ppm), _rate(factors.cvr_ppm)
    match campaign.bid_strategy:
        case BidStrategy.CPM:
            return PPM
        case BidStrategy.CPC:
            return ctr * _IMPRESSIONS_PER_CPM
        case BidStrategy.CPA:
            return ctr * cvr * _IMPRESSIONS_PER_CPM // PPM


def pacing_factor_ppm(factors: Factors) -> int:
    """Return the pacing factor, held between 0 and 1 whatever was written."""
    return _rate(factors.pacing_ppm)


def competition_factor_ppm(factors: Factors) -> int:
    """Return the competition estimate, held between 0 and 1 whatever was written."""
    return _rate(factors.competition_ppm)


def smoothed_rate_ppm(successes: int, trials: int, prior_ppm: int, prior_weight: int) -> int:
    """Return a rate that few observations cannot throw about, rounded down to a ppm.

    The posterior mean of a binomial rate under a Beta prior with mean m and weight n,
    (successes + m*n) / (trials + n): Beta(m*n, (1 - m)*n) is the binomial's conjugate prior
    (https://en.wikipedia.org/wiki/Beta-binomial_distribution). More successes than trials
    (impressions that never reached us) count as all of them.
    """
    weighed = min(max(0, successes), max(0, trials)) * PPM + _rate(prior_ppm) * prior_weight
    observed = max(0, trials) + prior_weight
    return weighed // observed if observed > 0 else _rate(prior_ppm)


def second_price_cpm_micros(own: int, runner_up: int | None, floor: int) -> int:
    """Return what the winner of an auction pays: the runner-up's bid and 0.01 CPM.

    Never under the floor and never over the winner's own bid. Without a runner-up it is the
    winner's own bid: docs/decisions/0002-price-without-runner-up.md. decide.lua does the same.
    """
    if runner_up is None:
        return own
    return min(own, max(floor, runner_up + SECOND_PRICE_STEP_MICROS))


def _rate(ppm: int) -> int:
    return min(max(0, ppm), PPM)
