from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from adctl.delivery import reasons
from adctl.delivery.candidates import MAX_PASSED_OVER, CandidateSearch
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import Rates
from adctl.delivery.eligibility import CreativeRules
from adctl.delivery.targeting import attributes_of
from adctl.delivery.terms import Terms
from adctl.models import FrequencyCap, Media
from adctl.openrtb import Banner, BidRequest, Imp

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.delivery.auction import Candidate
    from adctl.models import Campaign, Creative

NOW_MS = 1_767_225_600_000
TERMS = Terms("USD", "seat1", "https://t.example", True, 20, 3, 20, 60, 3600)
CAP = FrequencyCap(3, 86_400)


def search(
    *campaigns: Campaign, identified: bool = True, now_ms: int = NOW_MS, **imp_fields: Any
) -> tuple[list[Candidate], str]:
    return looked(*campaigns, identified=identified, now_ms=now_ms, **imp_fields)[:2]


def looked(
    *campaigns: Campaign, identified: bool = True, now_ms: int = NOW_MS, **imp_fields: Any
) -> tuple[list[Candidate], str, list[tuple[int, str]]]:
    imp = Imp(id="1", **{"banner": Banner(w=300, h=250), **imp_fields})
    request = BidRequest(id="r", imp=[imp], badv=["blocked.example"])
    attributes = attributes_of(request, segments=identified, precise_location=identified)
    catalog = Catalog.build(campaigns)
    finder = CandidateSearch(
        catalog, attributes, CreativeRules(request), TERMS, Rates("USD"), now_ms
    )
    found, reason = finder.candidates(imp, identified=identified)
    return found, reason, [(one.campaign_id, one.reason) for one in finder.passed_over]


def ids(found: tuple[list[Candidate], str]) -> list[int]:
    return [candidate.campaign.id for candidate in found[0]]


def test_candidates_come_dearest_first(make_campaign: Callable[..., Campaign]) -> None:
    bids = {1: 1_000_000, 2: 3_000_000, 3: 2_000_000}
    found = search(*(make_campaign(n, bid_amount_micros=bid) for n, bid in bids.items()))
    assert ids(found) == [2, 3, 1]
    assert [candidate.bid_cpm_micros for candidate in found[0]] == [3_000_000, 2_000_000, 1_000_000]


def test_no_more_candidates_than_the_house_puts_to_the_vote(
    make_campaign: Callable[..., Campaign],
) -> None:
    assert ids(search(*(make_campaign(number) for number in range(1, 9)))) == [1, 2, 3]


def test_bid_at_the_floor_is_in_and_one_below_it_is_out(
    make_campaign: Callable[..., Campaign],
) -> None:
    at, below = make_campaign(1), make_campaign(2, bid_amount_micros=1_999_999)
    assert ids(search(at, below, bidfloor=Decimal(2))) == [1]


def test_reason_is_the_floor_when_every_bid_is_under_it(
    make_campaign: Callable[..., Campaign],
) -> None:
    assert search(make_campaign(1), bidfloor=Decimal("2.01")) == ([], reasons.FLOOR)


def test_reason_is_no_campaign_when_none_targets_the_request(
    make_campaign: Callable[..., Campaign],
) -> None:
    assert search(make_campaign(1, countries=("CAN",))) == ([], reasons.NO_CAMPAIGN)


def test_reason_is_no_creative_when_all_are_blocked(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    blocked = make_creative(adomain=("blocked.example",))
    assert search(make_campaign(1, creatives=(blocked,))) == ([], reasons.NO_CREATIVE)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"banner": None}, reasons.FORMAT),
        ({"banner": Banner()}, reasons.FORMAT),
        ({"bidfloor": Decimal(1), "bidfloorcur": "EUR"}, reasons.CURRENCY),
    ],
)
def test_imp_that_cannot_be_bid_on_says_why(
    make_campaign: Callable[..., Campaign], fields: dict[str, Any], reason: str
) -> None:
    assert search(make_campaign(1), **fields) == ([], reason)


def test_capped_campaign_passes_on_a_user_it_cannot_count(
    make_campaign: Callable[..., Campaign],
) -> None:
    capped = make_campaign(1, caps=(CAP,))
    assert search(capped, identified=False) == ([], reasons.UNIDENTIFIED)


def test_capped_campaign_may_choose_to_skip_its_cap_for_a_user_it_cannot_count(
    make_campaign: Callable[..., Campaign],
) -> None:
    [candidate], _ = search(
        make_campaign(1, caps=(CAP,), unidentified="skip_cap"), identified=False
    )
    assert candidate.caps == ()


def test_identified_user_is_counted(make_campaign: Callable[..., Campaign]) -> None:
    [candidate], _ = search(make_campaign(1, caps=(CAP,), unidentified="skip_cap"))
    assert candidate.caps == (CAP,)


def test_creatives_that_fit_take_turns(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    creatives = (
        make_creative(id=10),
        make_creative(id=11, adomain=("blocked.example",)),
        make_creative(id=12, width=728, height=90),
        make_creative(id=13),
    )
    campaign = make_campaign(1, creatives=creatives)
    shown = [search(campaign, now_ms=NOW_MS + ms)[0][0].creative.id for ms in range(4)]
    assert shown == [10, 13, 10, 13]


def test_campaigns_passed_over_are_told_each_with_its_own_reason(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    def with_creative(number: int, **fields: Any) -> Campaign:
        creative = make_creative(id=number, **fields)
        bid = 9_000_000 - number * 100_000
        return make_campaign(number, bid_amount_micros=bid, creatives=(creative,))

    campaigns = (
        with_creative(1, adomain=("blocked.example",)),
        with_creative(2, attr=(7,)),
        with_creative(3, banner_type=3),
        with_creative(4, image_url="http://cdn.example/plain.png"),
        with_creative(5, media=Media(api=(5,))),
        with_creative(6),
        make_campaign(7, bid_amount_micros=3_000_000, caps=(CAP,)),
        make_campaign(8, bid_amount_micros=1_000_000),
        make_campaign(9, countries=("CAN",)),
    )
    banner = Banner(w=300, h=250, battr=[7], btype=[3])
    found, _, passed_over = looked(
        *campaigns, identified=False, banner=banner, secure=1, bidfloor=Decimal(2)
    )
    assert [one.campaign.id for one in found] == [6]
    assert passed_over == [
        (1, reasons.BLOCKED_ADVERTISER),
        (2, reasons.BLOCKED_ATTRIBUTE),
        (3, reasons.BLOCKED_ATTRIBUTE),
        (4, reasons.INSECURE_CREATIVE),
        (5, reasons.CREATIVE_UNFIT),
        (7, reasons.UNIDENTIFIED),
        (8, reasons.FLOOR),
    ]


def test_no_more_are_told_than_is_worth_a_record(make_campaign: Callable[..., Campaign]) -> None:
    campaigns = [make_campaign(number) for number in range(1, MAX_PASSED_OVER + 5)]
    _, reason, passed_over = looked(*campaigns, bidfloor=Decimal(3))
    assert reason == reasons.FLOOR
    assert passed_over == [(number, reasons.FLOOR) for number in range(1, MAX_PASSED_OVER + 1)]


def test_campaign_with_a_creative_that_fits_is_not_passed_over_for_the_others(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    creatives = (make_creative(id=1, adomain=("blocked.example",)), make_creative(id=2))
    [candidate], _, passed_over = looked(make_campaign(1, creatives=creatives))
    assert candidate.creative.id == 2
    assert passed_over == []
