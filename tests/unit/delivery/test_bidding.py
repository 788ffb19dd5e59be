"""The bidder around its ledger; what the ledger itself decides is in tests/golden."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from adctl.decisions import CandidateOutcome
from adctl.delivery import reasons
from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.bidding import Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import BidCurrency, Rates
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Purpose, Signer, hash_user
from adctl.errors import StoreUnavailableError
from adctl.models import FrequencyCap
from adctl.money import format_micros
from adctl.openrtb import Banner, BidRequest, Device, Imp, Regs, Site, User

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.models import Campaign

NOW_MS = 1_767_225_600_000
SIGNER = Signer({1: bytes(32)})
USER_KEY = bytes(range(32))
TERMS = Terms("USD", "seat1", "https://t.example", True, 2, 12, 20, 60, 3600)
BANNER = Banner(w=300, h=250)
REQUEST = BidRequest(id="r", imp=[Imp(id="1", banner=BANNER)], user=User(id="someone"))


class Scripted:
    """A ledger that lets the dearest win at its own bid, and notes what it was asked."""

    def __init__(self, failing: bool = False) -> None:
        self.failing = failing
        self.calls: list[tuple[Sequence[ImpAuction], str, int, int]] = []

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        del test
        self.calls.append((auctions, user_hash, bucket, now_ms))
        if self.failing:
            raise StoreUnavailableError("away")
        return [
            Verdict(
                0,
                auction.candidates[0].bid_cpm_micros,
                None,
                (reasons.WON, *[reasons.NOT_NEEDED] * (len(auction.candidates) - 1)),
            )
            for auction in auctions
        ]


class Shelf(NamedTuple):
    current: Catalog


def bidder(ledger: Scripted, *campaigns: Campaign, rates: Rates | None = None) -> Bidder:
    return Bidder(
        Shelf(Catalog.build(campaigns)),
        ledger,
        SIGNER,
        USER_KEY,
        TERMS,
        clock_ms=lambda: NOW_MS,
        make_bid_id=lambda: "0" * 23 + "1",
        rates=rates,
    )


def changed(**fields: Any) -> BidRequest:
    return msgspec.structs.replace(REQUEST, **fields)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (changed(cur=["EUR"]), reasons.CURRENCY),
        (changed(wseat=["other"]), reasons.SEAT),
        (changed(tmax=20), reasons.TIMEOUT),
    ],
)
def test_refused_request_never_reaches_the_ledger(
    make_campaign: Callable[..., Campaign], request_: BidRequest, reason: str
) -> None:
    ledger = Scripted()
    answer = bidder(ledger, make_campaign(1)).answer(request_, "default")
    assert (answer.response, answer.decision.reason) == (None, reason)
    assert not ledger.calls


@pytest.mark.parametrize("tmax", [None, 0, -5, 21, 1e12])
def test_time_that_is_left_is_used(make_campaign: Callable[..., Campaign], tmax: float) -> None:
    assert bidder(Scripted(), make_campaign(1)).answer(changed(tmax=tmax), "x").decision.bid


def test_nothing_is_reserved_for_an_answer_that_would_be_late(
    make_campaign: Callable[..., Campaign],
) -> None:
    ledger, moments = Scripted(), iter([NOW_MS, NOW_MS + 81])
    slow = Bidder(
        Shelf(Catalog.build([make_campaign(1)])),
        ledger,
        SIGNER,
        USER_KEY,
        TERMS,
        clock_ms=lambda: next(moments),
    )
    answer = slow.answer(changed(tmax=100), "default")
    assert (answer.response, answer.decision.reason) == (None, reasons.TIMEOUT)
    assert not ledger.calls


@pytest.mark.parametrize("wins", [True, False])
def test_campaigns_passed_over_are_on_record(
    make_campaign: Callable[..., Campaign], wins: bool
) -> None:
    capped = make_campaign(1, caps=(FrequencyCap(1, 60),), bid_amount_micros=5_000_000)
    others = [make_campaign(2)] * wins
    nobody = changed(user=None, device=None)
    [imp] = bidder(Scripted(), capped, *others).answer(nobody, "default").decision.imps
    assert imp.winner == (2 if wins else 0)
    assert imp.passed_over == (CandidateOutcome(1, 0, 5_000_000, reasons.UNIDENTIFIED),)


def test_ledger_is_not_asked_about_nothing() -> None:
    ledger = Scripted()
    answer = bidder(ledger).answer(REQUEST, "default")
    assert answer.decision.reason == reasons.NO_CAMPAIGN
    assert not ledger.calls


def test_what_cannot_be_reserved_is_not_bid(make_campaign: Callable[..., Campaign]) -> None:
    answer = bidder(Scripted(failing=True), make_campaign(1)).answer(REQUEST, "default")
    assert answer.response is None
    assert answer.decision.reason == reasons.UNAVAILABLE
    assert not answer.decision.bid


def test_user_reaches_the_ledger_only_as_a_keyed_hash(
    make_campaign: Callable[..., Campaign],
) -> None:
    ledger = Scripted()
    answer = bidder(ledger, make_campaign(1)).answer(REQUEST, "default")
    assert ledger.calls[0][1] == hash_user(USER_KEY, "someone")
    record = msgspec.json.encode(answer.decision)
    assert b"someone" not in record
    # Kafka cannot forget a user, and is not told of any.
    assert hash_user(USER_KEY, "someone").encode() not in record


def test_user_who_may_not_be_known_is_nobody(make_campaign: Callable[..., Campaign]) -> None:
    ledger = Scripted()
    bidder(ledger, make_campaign(1)).answer(changed(regs=Regs(coppa=1)), "default")
    assert ledger.calls[0][1] == ""


def test_all_imps_are_decided_in_one_call(make_campaign: Callable[..., Campaign]) -> None:
    ledger = Scripted()
    imps = [Imp(id="a", banner=BANNER), Imp(id="b", banner=BANNER)]
    bidder(ledger, make_campaign(1)).answer(changed(imp=imps), "default")
    [(auctions, _, bucket, now_ms)] = ledger.calls
    assert [auction.imp_id for auction in auctions] == ["a", "b"]
    assert (bucket, now_ms) == (NOW_MS // 60_000, NOW_MS)


def test_imps_beyond_the_limit_are_recorded_without_a_bid(
    make_campaign: Callable[..., Campaign],
) -> None:
    imps = [Imp(id=str(number), banner=BANNER) for number in range(4)]
    answer = bidder(Scripted(), make_campaign(1)).answer(changed(imp=imps), "default")
    assert answer.response is not None
    assert [bid.impid for bid in answer.response.seatbid[0].bid] == ["0", "1"]
    unseen = [imp.imp_id for imp in answer.decision.imps if imp.reason == reasons.TOO_MANY_IMPS]
    assert unseen == ["2", "3"]


def test_bids_urls_carry_what_its_events_will_need(make_campaign: Callable[..., Campaign]) -> None:
    caps = (FrequencyCap(3, 3600), FrequencyCap(9, 86_400))
    answer = bidder(Scripted(), make_campaign(5, caps=caps)).answer(REQUEST, "somex")
    assert answer.response is not None
    text = answer.response.seatbid[0].bid[0].burl.partition("t=")[2].partition("&")[0]
    token = SIGNER.verify(text, Purpose.NOTICE, NOW_MS, 60)
    assert (token.campaign_id, token.creative_id, token.exchange) == (5, 5, "somex")
    assert (token.price_cpm_micros, token.bid_at_ms) == (2_000_000, NOW_MS)
    assert token.bucket == NOW_MS // 60_000
    assert token.cap_windows == (3600, 86_400)
    assert token.user_hash == hash_user(USER_KEY, "someone")


def test_decision_names_place_and_device_but_no_address(
    make_campaign: Callable[..., Campaign],
) -> None:
    device = Device(devicetype=4, ip="198.51.100.7", ifa="some-advertising-id")
    request = changed(site=Site(domain="news.example"), device=device)
    decision = bidder(Scripted(), make_campaign(1)).answer(request, "default").decision
    assert (decision.domain, decision.device) == ("news.example", "4")
    record = msgspec.json.encode(decision)
    assert b"198.51.100" not in record
    assert b"some-advertising-id" not in record


def test_record_of_a_request_is_bounded(make_campaign: Callable[..., Campaign]) -> None:
    request = changed(id="x" * 10_000, site=Site(domain="d" * 10_000))
    answer = bidder(Scripted(), make_campaign(1)).answer(request, "default")
    assert len(msgspec.json.encode(answer.decision)) < 1_500
    assert answer.response is not None
    assert answer.response.id == request.id


def test_rate_of_a_bid_in_another_currency_is_signed(
    make_campaign: Callable[..., Campaign],
) -> None:
    rates = Rates("USD", {"EUR": Decimal("1.1")})
    answer = bidder(Scripted(), make_campaign(1), rates=rates).answer(changed(cur=["EUR"]), "x")
    assert answer.response is not None
    bid = answer.response.seatbid[0].bid[0]
    [text] = parse_qs(urlsplit(bid.burl).query)["t"]
    token = SIGNER.verify(text, Purpose.NOTICE, NOW_MS, 60)
    assert token.currency == BidCurrency("EUR", Decimal("1.1"))
    assert (answer.response.cur, bytes(bid.price)) == (
        "EUR",
        format_micros(token.asked_cpm_micros).encode(),
    )
    assert token.price_cpm_micros == answer.decision.imps[0].price_cpm_micros


def test_seat_and_currency_must_both_be_taken(make_campaign: Callable[..., Campaign]) -> None:
    rates = Rates("USD", {"EUR": Decimal("1.1")})
    asked = changed(cur=["EUR"], wseat=["other"])
    answer = bidder(Scripted(), make_campaign(1), rates=rates).answer(asked, "x")
    assert answer.decision.reason == reasons.SEAT
