"""The highest CPM, in every combination with what else makes a bid."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import floor
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from adctl.decisions import CandidateOutcome
from adctl.delivery import reasons
from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.bidding import Answer, Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import Rates
from adctl.delivery.targeting import attributes_of
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Signer
from adctl.models import BidStrategy, Deal, Factors
from adctl.money import MAX_CPM_MICROS, format_micros
from adctl.openrtb import BidRequest, decode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.delivery.targeting import RequestAttributes
    from adctl.models import Campaign

TERMS = Terms("USD", "seat1", "https://t.example", True, 20, 12, 20, 60, 3600)
CPM, CPC, CPA = BidStrategy.CPM, BidStrategy.CPC, BidStrategy.CPA
# Each is worth a CPM of 30.00 at these rates.
AMOUNT = {CPM: 30_000_000, CPC: 500_000, CPA: 10_000_000}
RATES = Factors(ctr_ppm=60_000, cvr_ppm=50_000)
WORTH, DEAL_PRICE, FLOOR = 30_000_000, 24_000_000, 11_000_000
EURO = Decimal("1.1")


class Shelf(NamedTuple):
    current: Catalog


class DearestWins:
    """A ledger that lets the dearest win at its own bid."""

    def decide(
        self, auctions: Sequence[ImpAuction], *_: object, test: bool = False
    ) -> list[Verdict]:
        del test
        return [
            Verdict(
                0,
                one.candidates[0].bid_cpm_micros,
                None,
                (reasons.WON, *[reasons.OUTBID] * (len(one.candidates) - 1)),
            )
            for one in auctions
        ]


def answer(catalog: Catalog, imp: dict[str, Any] | None = None, currency: str = "USD") -> Answer:
    request = {
        "id": "r",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, **(imp or {})}],
        "cur": [currency],
    }
    bidder = Bidder(
        Shelf(catalog),
        DearestWins(),
        Signer({1: bytes(32)}),
        bytes(32),
        TERMS,
        clock_ms=lambda: 1_767_225_600_000,
        rates=Rates("USD", {"EUR": EURO}),
    )
    return bidder.answer(decode_request(json.dumps(request).encode()), "default")


def outcomes(answered: Answer) -> list[CandidateOutcome]:
    return [one for imp in answered.decision.imps for one in (*imp.candidates, *imp.passed_over)]


class Case(NamedTuple):
    own: int | None
    default: int
    pacing_ppm: int
    deal: str  # "", or what kind: floor, fixed, guaranteed, guaranteed fixed
    named_price: bool  # whether somebody wrote a price for the deal
    currency: str
    quantity: str | None


CASES = [
    Case(*values)
    for values in product(
        (None, 10_000_000, 12_000_000, 50_000_000),
        (MAX_CPM_MICROS, 20_000_000),
        (1_000_000, 400_000, 0),
        ("", "floor", "fixed", "guaranteed", "guaranteed fixed"),
        (False, True),
        ("USD", "EUR"),
        (None, "14.2"),
    )
    if values[3] or not values[4]
]


def expected(strategy: BidStrategy, case: Case) -> tuple[int, int, str]:
    """Return the bid, what was cut from it, and the reason why there is none, by plain rules."""
    whole = DEAL_PRICE if case.named_price else WORTH
    by_rates = strategy is not CPM and not case.named_price
    ceiling = case.own or (case.default if by_rates else MAX_CPM_MICROS)
    pace = 1_000_000 if "guaranteed" in case.deal else case.pacing_ppm
    paced = floor(Fraction(whole * pace, 1_000_000))
    if not paced:
        return 0, 0, reasons.FLOOR if case.deal else reasons.PACED
    if "fixed" in case.deal:
        return (FLOOR, 0, "") if ceiling >= FLOOR else (0, FLOOR - ceiling, reasons.CEILING)
    bid = min(paced, ceiling)
    meets = not case.deal or bid >= FLOOR
    return bid, paced - bid, "" if meets else reasons.FLOOR


@pytest.mark.parametrize("strategy", [CPM, CPC, CPA])
def test_no_bid_is_above_its_ceiling_and_what_is_cut_is_on_record(
    make_campaign: Callable[..., Campaign], strategy: BidStrategy
) -> None:
    for case in CASES:
        price = DEAL_PRICE if case.named_price else None
        campaign = make_campaign(
            1,
            bid_strategy=strategy,
            bid_amount_micros=AMOUNT[strategy],
            max_cpm_micros=case.own,
            deals=(Deal("d", price),) if case.deal else (),
        )
        factors = msgspec.structs.replace(RATES, pacing_ppm=case.pacing_ppm)
        imp: dict[str, Any] = {"bidfloor": 0.01, "bidfloorcur": "USD"}
        if case.quantity:
            imp["qty"] = {"multiplier": float(case.quantity)}
        if case.deal:
            told = {
                "id": "d",
                "bidfloor": FLOOR / 1_000_000,
                "bidfloorcur": "USD",
                "at": 3 if "fixed" in case.deal else 1,
                "guar": int("guaranteed" in case.deal),
            }
            imp["pmp"] = {"private_auction": 1, "deals": [told]}
        answered = answer(Catalog.build([campaign], {1: factors}, case.default), imp, case.currency)
        bid, cut, why_not = expected(strategy, case)
        told_outcomes = [
            (one.bid_cpm_micros, one.cut_micros, one.reason) for one in outcomes(answered)
        ]
        if why_not == reasons.PACED:
            # Who bids nothing in the open auction is not looked at.
            assert (answered.response, told_outcomes) == (None, []), case
        elif why_not:
            assert (answered.response, told_outcomes) == (None, [(bid, cut, why_not)]), case
            assert answered.decision.reason == why_not, case
        else:
            assert told_outcomes == [(bid, cut, "")], case
            assert answered.response, case
            rate = Fraction(EURO) if case.currency == "EUR" else Fraction(1)
            (sent,) = answered.response.seatbid[0].bid
            assert bytes(sent.price).decode() == format_micros(floor(bid / rate)), case


def test_clicks_nobody_made_raise_a_bid_to_the_ceiling_and_no_further(
    make_campaign: Callable[..., Campaign],
) -> None:
    campaign = make_campaign(1, bid_strategy=CPC, bid_amount_micros=400_000)
    catalog = Catalog.build([campaign], default_max_micros=20_000_000)
    assert catalog.bid_of(campaign) == 400_000
    raised = catalog.with_factors({1: Factors(ctr_ppm=57_550)})
    assert (raised.bid_of(campaign), raised.cut_of(1)) == (20_000_000, 3_020_000)
    again = raised.with_factors({1: Factors()})
    assert (again.bid_of(campaign), again.cut_of(1)) == (400_000, 0)


def test_candidates_are_in_the_order_of_what_they_bid_not_of_what_was_cut(
    make_campaign: Callable[..., Campaign],
) -> None:
    dear = make_campaign(1, bid_amount_micros=9_000_000, max_cpm_micros=2_000_000)
    plain = make_campaign(2, bid_amount_micros=3_000_000)
    answered = answer(Catalog.build([dear, plain]))
    assert [(one.campaign_id, one.cut_micros) for one in outcomes(answered)] == [
        (2, 0),
        (1, 7_000_000),
    ]


def test_a_bid_cut_under_the_floor_is_on_record_with_its_cut(
    make_campaign: Callable[..., Campaign],
) -> None:
    low = make_campaign(1, bid_amount_micros=9_000_000, max_cpm_micros=2_000_000)
    answered = answer(Catalog.build([low]), {"bidfloor": 3})
    assert outcomes(answered) == [CandidateOutcome(1, 0, 2_000_000, reasons.FLOOR, 7_000_000)]


def test_a_changed_ceiling_counts_at_once_and_a_campaign_that_leaves_takes_its_cut_along(
    make_campaign: Callable[..., Campaign],
) -> None:
    catalog = Catalog.build([make_campaign(1, bid_amount_micros=9_000_000)])
    lower = make_campaign(1, bid_amount_micros=9_000_000, max_cpm_micros=2_000_000)
    capped = catalog.with_campaign(lower)
    (_, bid), *_ = capped.dearest_first(
        capped.index.matches(_attributes(), capped.index.formats, 1_767_225_600_000), _attributes()
    )
    assert (bid, capped.cut_of(1), catalog.cut_of(1)) == (2_000_000, 7_000_000, 0)
    assert capped.without_campaign(1).cut_of(1) == 0


def _attributes() -> RequestAttributes:
    return attributes_of(BidRequest(id="r", imp=[]), segments=False, precise_location=False)
