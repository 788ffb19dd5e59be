"""The numbers of docs/money.md, computed again by the functions that count money."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.config_ceiling import max_cpm_micros
from adctl.control.allotment import Account
from adctl.delivery.currency import BidCurrency
from adctl.delivery.macros import ToldMacros
from adctl.delivery.oddities import RULES
from adctl.delivery.pricing import bid_cpm_micros, second_price_cpm_micros, uncapped_bid_micros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import BidStrategy, Campaign, EventKind, Factors, Status
from adctl.money import format_micros, format_nanos, parse_micros, parse_nanos
from adctl.stores.budgets import BudgetState

if TYPE_CHECKING:
    from adctl.delivery.tracking import TrackedEvent

PAGE = (Path(__file__).parents[3] / "docs" / "money.md").read_text()
_NO_VALUE = ("any", "none")


CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="example",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=1,
    daily_budget_nanos=2_000_000_000,
    total_budget_nanos=10_000_000_000,
    starts_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def table(first_heading: str) -> list[list[str]]:
    """Return the rows of the table whose first heading this is."""
    (found,) = re.findall(
        rf"^\| {first_heading} \|.*\n\|[ |-]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE
    )
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()]


def ppm(percentage: str) -> int:
    return 0 if percentage in _NO_VALUE else int(Decimal(percentage.rstrip("%")) * 10_000)


def example_token() -> BidToken:
    """Return the bid of the page's first auction."""
    price = table("own bid")[0][3]
    return BidToken(
        bid_id="0" * 24,
        campaign_id=1,
        creative_id=1,
        exchange="default",
        price_cpm_micros=parse_micros(price),
        bid_at_ms=1_790_000_000_000,
        bucket=29_833_333,
    )


def tracked(event: str, told: str) -> TrackedEvent:
    token = example_token()
    return track(
        token, EventKind(event), EventKind.IMPRESSION, ToldMacros(told), token.bid_at_ms + 1000
    )


@pytest.mark.parametrize(
    ("strategy", "amount", "ctr", "cvr", "pacing", "bid"), table("strategy"), ids=str
)
def test_bids_are_what_the_page_says(
    strategy: str, amount: str, ctr: str, cvr: str, pacing: str, bid: str
) -> None:
    campaign = msgspec.structs.replace(
        CAMPAIGN, bid_strategy=BidStrategy(strategy), bid_amount_micros=parse_micros(amount)
    )
    factors = Factors(pacing_ppm=ppm(pacing), ctr_ppm=ppm(ctr), cvr_ppm=ppm(cvr))
    assert format_micros(bid_cpm_micros(campaign, factors)) == bid


@pytest.mark.parametrize(
    ("worth", "strategy", "pacing", "own", "default", "bid", "cut"), table("worth"), ids=str
)
def test_ceilings_are_what_the_page_says(
    worth: str, strategy: str, pacing: str, own: str, default: str, bid: str, cut: str
) -> None:
    # Of a thousand impressions one is clicked on, and every click converts.
    campaign = msgspec.structs.replace(
        CAMPAIGN,
        bid_strategy=BidStrategy(strategy),
        bid_amount_micros=parse_micros(worth),
        max_cpm_micros=None if own == "none" else parse_micros(own),
    )
    factors = Factors(pacing_ppm=ppm(pacing), ctr_ppm=1_000, cvr_ppm=1_000_000)
    highest = max_cpm_micros("" if default == "none" else default)
    micros = bid_cpm_micros(campaign, factors, highest)
    told = (
        format_micros(micros),
        format_micros(uncapped_bid_micros(campaign, factors) - micros),
    )
    assert told == (bid, cut)


@pytest.mark.parametrize(("own", "runner_up", "floor", "price"), table("own bid"), ids=str)
def test_prices_are_what_the_page_says(own: str, runner_up: str, floor: str, price: str) -> None:
    second = None if runner_up in _NO_VALUE else parse_micros(runner_up)
    paid = second_price_cpm_micros(parse_micros(own), second, parse_micros(floor))
    assert format_micros(paid) == price


@pytest.mark.parametrize(("event", "told", "ending", "cost", "unpriced"), table("event"), ids=str)
def test_events_do_what_the_page_says(
    event: str, told: str, ending: str, cost: str, unpriced: str
) -> None:
    found = tracked(event, told)
    assert (found.ending, format_nanos(found.event.cost_nanos)) == (ending, cost)
    assert found.event.unpriced is (unpriced == "yes")


@pytest.mark.parametrize(("rate", "price", "bid", "told", "cost"), table("rate"), ids=str)
def test_bids_in_other_currencies_are_what_the_page_says(
    rate: str, price: str, bid: str, told: str, cost: str
) -> None:
    currency = BidCurrency("EUR", Decimal(rate))
    token = msgspec.structs.replace(
        example_token(), price_cpm_micros=parse_micros(price), currency=currency
    )
    assert format_micros(token.asked_cpm_micros) == bid
    kind = EventKind.IMPRESSION
    event = track(token, kind, kind, ToldMacros(told), token.bid_at_ms + 1000).event
    assert format_nanos(event.cost_nanos) == cost


def balances() -> dict[str, BudgetState]:
    names = ("budget", "available", "reserved", "spent")
    names += ("day_budget", "day_available", "day_spent")
    return {
        step: BudgetState(
            day="2026-11-23",
            late=0,
            **dict(zip(names, map(parse_nanos, amounts), strict=True)),
        )
        for step, *amounts in table("after")
    }


@pytest.mark.parametrize("step", balances())
def test_every_balance_on_the_page_adds_up(step: str) -> None:
    assert balances()[step].adds_up


def test_the_example_reserves_its_price() -> None:
    start, reserved = balances()["start"], balances()["reserve"]
    assert reserved.reserved == tracked("impression", "1.20").reserved_nanos
    assert reserved.available == start.available - reserved.reserved


def test_the_example_settles_at_the_told_price() -> None:
    settled = balances()["settle"]
    assert settled.spent == tracked("impression", "1.20").event.cost_nanos
    assert settled.reserved == 0


def test_an_impression_costs_as_many_nanos_as_its_price_has_micros() -> None:
    (unit,) = re.findall(r"\| 2.00 is `(\d+)` \|", PAGE)
    assert int(unit) == parse_micros("2.00")
    (amount,) = re.findall(r"\| 0.002 is `(\d+)` \|", PAGE)
    assert int(amount) == parse_nanos("0.002") == parse_micros("2.00")


def test_every_odd_arrival_has_its_rule_on_the_page() -> None:
    assert {word.strip("`") for word, _, _ in table("word")} == set(RULES)


def test_every_booking_on_the_page_adds_up_and_leads_to_its_balance() -> None:
    balance = 0
    for _, *cells in table("booking"):
        *moved, after = [parse_nanos(cell or "0") for cell in cells]
        _cash, advertiser, campaign, *_rest = moved
        assert sum(moved) == 0
        balance -= advertiser + campaign
        assert balance == after


def test_the_fee_on_the_page_is_its_share_of_the_spend() -> None:
    rows = {booking: cells for booking, *cells in table("booking")}
    spend, fee = parse_nanos(rows["spend"][2]), parse_nanos(rows["fee"][1])
    assert fee * 100 == spend * 15


@pytest.mark.parametrize(("paid", "rate", "spendable"), table("paid in"), ids=str)
def test_prepaid_campaigns_may_spend_what_the_page_says(
    paid: str, rate: str, spendable: str
) -> None:
    account = Account(1, ppm(rate), True, parse_nanos(paid), ())
    assert account.funds == parse_nanos(spendable)
