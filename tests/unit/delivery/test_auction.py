from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.auction import Candidate, ImpAuction, Verdict, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.models import Campaign


def auction(make_campaign: Callable[..., Campaign], *bids: int) -> ImpAuction:
    campaigns = [make_campaign(number) for number in range(1, len(bids) + 1)]
    candidates = [
        Candidate(campaign, campaign.creatives[0], bid)
        for campaign, bid in zip(campaigns, bids, strict=True)
    ]
    return ImpAuction("1", 0, tuple(candidates))


def test_record_tells_each_candidates_part(make_campaign: Callable[..., Campaign]) -> None:
    verdict = Verdict(1, 20, 2, (reasons.FREQUENCY_CAP, reasons.WON, reasons.OUTBID))
    told = outcomes(auction(make_campaign, 30, 20, 10), verdict)
    assert [(one.campaign_id, one.creative_id, one.bid_cpm_micros, one.reason) for one in told] == [
        (1, 1, 30, reasons.FREQUENCY_CAP),
        (2, 2, 20, reasons.WON),
        (3, 3, 10, reasons.OUTBID),
    ]


def test_candidates_nobody_looked_at_are_not_recorded(
    make_campaign: Callable[..., Campaign],
) -> None:
    verdict = Verdict(0, 20, 1, (reasons.WON, reasons.OUTBID, reasons.NOT_NEEDED))
    assert len(outcomes(auction(make_campaign, 30, 20, 10), verdict)) == 2


def test_no_bid_has_the_dearest_candidates_reason() -> None:
    verdict = Verdict(None, 0, None, (reasons.DAY_BUDGET, reasons.FREQUENCY_CAP))
    assert verdict.no_bid_reason == reasons.DAY_BUDGET


def test_a_won_auction_has_no_no_bid_reason() -> None:
    assert Verdict(1, 20, None, (reasons.DAY_BUDGET, reasons.WON)).no_bid_reason == ""


def test_every_number_of_the_script_has_its_word() -> None:
    assert len(reasons.OF_SCRIPT) == len(set(reasons.OF_SCRIPT)) == 9
    assert reasons.OF_SCRIPT[1] == reasons.WON == ""
