"""Few candidates are put to the vote first, and all of them where few are not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from adctl.delivery import reasons
from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.bidding import Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Signer
from adctl.openrtb import Banner, BidRequest, Imp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.models import Campaign

TERMS = Terms("USD", "seat1", "https://t.example", True, 2, 12, 20, 60, 3600)
BANNER = Banner(w=300, h=250)
REQUEST = BidRequest(id="r", imp=[Imp(id="1", banner=BANNER)])


class Shelf(NamedTuple):
    current: Catalog


def bidder(ledger: Choosy, *campaigns: Campaign) -> Bidder:
    return Bidder(Shelf(Catalog.build(campaigns)), ledger, Signer({1: bytes(32)}), b"", TERMS)


class Choosy:
    """Says of so many of the dearest that they may not win."""

    def __init__(self, refused: int) -> None:
        self.calls: list[ImpAuction] = []
        self.refused = refused

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        del user_hash, bucket, now_ms, test
        self.calls.extend(auctions)
        if len(auctions) > 1:
            return [
                Verdict(None, 0, None, (reasons.FREQUENCY_CAP,) * len(one.candidates))
                for one in auctions
            ]
        [auction] = auctions
        if auction.more and len(auction.candidates) < self.refused + 2:
            return []
        capped = [reasons.FREQUENCY_CAP] * self.refused
        rest = [reasons.NOT_NEEDED] * (len(auction.candidates) - self.refused - 2)
        price = auction.candidates[self.refused].bid_cpm_micros
        told = (*capped, reasons.WON, reasons.OUTBID, *rest)
        return [Verdict(self.refused, price, self.refused + 1, told)]


@pytest.fixture
def many(make_campaign: Callable[..., Campaign]) -> list[Campaign]:
    return [make_campaign(number, bid_amount_micros=number * 10**6) for number in range(1, 21)]


def test_few_candidates_are_tried_first(many: list[Campaign]) -> None:
    ledger = Choosy(refused=0)
    bidder(ledger, *many).answer(REQUEST, "default")
    [auction] = ledger.calls
    assert len(auction.candidates) < TERMS.max_candidates
    assert auction.more


def test_all_candidates_are_tried_when_a_few_were_too_few(many: list[Campaign]) -> None:
    ledger = Choosy(refused=7)
    answer = bidder(ledger, *many).answer(REQUEST, "default")
    assert [len(auction.candidates) for auction in ledger.calls] == [4, 12]
    assert answer.decision.imps[0].winner == 13


def test_more_are_tried_at_once_where_a_few_keep_being_too_few(many: list[Campaign]) -> None:
    ledger = Choosy(refused=4)
    busy = bidder(ledger, *many)
    for _ in range(60):
        busy.answer(REQUEST, "default")
    assert len(ledger.calls) < 70


def test_candidates_of_several_impressions_are_all_put_to_the_vote_at_once(
    many: list[Campaign],
) -> None:
    ledger = Choosy(refused=0)
    request = BidRequest(id="r", imp=[Imp(id="1", banner=BANNER), Imp(id="2", banner=BANNER)])
    bidder(ledger, *many).answer(request, "default")
    assert [(len(one.candidates), one.more) for one in ledger.calls] == [(12, False)] * 2
