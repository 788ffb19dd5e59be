"""What the bidder answers where an attribute of the request cannot be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from adctl.delivery import reasons
from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.bidding import Answer, Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.privacy import PrivacyPolicy
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Signer
from adctl.openrtb import decode_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.models import Campaign

NOW_MS = 1_767_225_600_000
TERMS = Terms("USD", "seat1", "https://t.example", True, 2, 12, 20, 60, 3600)
IMP: dict[str, Any] = {"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01}
REQUEST: dict[str, Any] = {"id": "r", "imp": [IMP], "user": {"id": "someone"}}


class Scripted:
    """A ledger that lets the dearest win at its own bid, and notes whose bids it was asked for."""

    def __init__(self) -> None:
        self.users: list[str] = []

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        del bucket, now_ms, test
        self.users.append(user_hash)
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


class House(NamedTuple):
    answer: Answer
    users: list[str]


@pytest.fixture
def ask(make_campaign: Callable[..., Campaign]) -> Callable[..., House]:
    catalog = Catalog.build([make_campaign(1), make_campaign(2)])

    def ask(terms: Terms = TERMS, **changes: Any) -> House:
        ledger = Scripted()
        bidder = Bidder(
            Shelf(catalog), ledger, Signer({1: bytes(32)}), bytes(32), terms, lambda: NOW_MS
        )
        body = json.dumps({**REQUEST, **changes}).encode()
        return House(bidder.answer(decode_request(body), "x"), ledger.users)

    return ask


def test_plain_request_is_bid_on_for_its_user(ask: Callable[..., House]) -> None:
    house = ask()
    assert house.answer.decision.bid
    assert all(house.users)


@pytest.mark.parametrize(
    "name",
    [
        *("test", "wseat", "bseat", "cur", "wlang", "wlangb"),
        *("bcat", "acat", "cattax", "badv", "bapp"),
    ],
)
def test_request_that_protects_somebody_unreadably_gets_no_bid(
    ask: Callable[..., House], name: str
) -> None:
    house = ask(**{name: {"un": "readable"}})
    assert (house.answer.response, house.users) == (None, [])
    assert house.answer.decision.reason == reasons.UNREADABLE
    assert reasons.NBR[reasons.UNREADABLE] == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"bidfloor": "much"},
        {"bidfloorcur": ["USD"]},
        {"secure": "maybe"},
        {"qty": {"multiplier": "many"}},
        {"pmp": {"private_auction": "maybe"}},
        {"pmp": {"deals": [{"id": "d", "bidfloor": "much"}]}},
        {"banner": {"w": 300, "h": 250, "battr": "some"}},
        {"banner": {"w": 300, "h": 250, "btype": {"4": True}}},
        {"banner": "300x250"},
    ],
    ids=str,
)
def test_impression_that_protects_somebody_unreadably_costs_itself(
    ask: Callable[..., House], fault: dict[str, Any]
) -> None:
    alone = ask(imp=[IMP | fault]).answer
    assert (alone.response, alone.decision.reason) == (None, reasons.UNREADABLE)
    for order in (1, -1):
        decision = ask(imp=[IMP | fault, IMP | {"id": "good"}][::order]).answer.decision
        assert decision.bid
        assert [(imp.imp_id, imp.reason) for imp in decision.imps] == [
            ("good", reasons.WON),
            ("1", reasons.UNREADABLE),
        ]


@pytest.mark.parametrize(
    "told",
    [
        {"regs": "gdpr"},
        {"regs": {"coppa": "child"}},
        {"regs": {"gdpr": "yes"}},
        {"regs": {"us_privacy": ["1YYN"]}},
        {"regs": {"gpp": {"a": 1}}},
        {"regs": {"gpp_sid": "all"}},
        {"regs": {"ext": "gdpr=1"}},
        {"regs": {"ext": {"gdpr": "yes"}}},
        {"device": {"lmt": "maybe"}},
        {"device": {"dnt": [0]}},
        {"device": {"ext": {"gpc": {}}}},
        {"device": "phone"},
        {"user": {"id": "someone", "consent": True}},
        {"user": {"id": "someone", "ext": {"consent": ["C"]}}},
        {"user": {"id": "someone", "ext": "consent"}},
    ],
    ids=str,
)
def test_person_who_is_protected_unreadably_is_not_identified(
    ask: Callable[..., House], told: dict[str, Any]
) -> None:
    house = ask(**told)
    assert house.answer.decision.bid
    assert not any(house.users)


@pytest.mark.parametrize("told", [{"regs": "x"}, {"regs": {"gdpr": "x"}}, {"regs": {"ext": "x"}}])
def test_gdpr_that_is_told_unreadably_applies(
    ask: Callable[..., House], told: dict[str, Any]
) -> None:
    policy = PrivacyPolicy(vendor_id=1, gdpr_policy="no_bid")
    terms = Terms("USD", "seat1", "https://t.example", True, 2, 12, 20, 60, 3600, privacy=policy)
    assert ask(terms, **told).answer.decision.reason == reasons.PRIVACY


@pytest.mark.parametrize(
    "told",
    [
        {"tmax": "soon"},
        {"at": "first"},
        {"device": {"devicetype": "phone", "geo": "Boston", "ua": 7}},
        {"device": {"geo": {"zip": ["02108"], "lat": "north"}}},
        {"source": "direct"},
        {"source": {"ext": "anything"}},
        {"dooh": 5},
        {"ext": "text"},
    ],
    ids=str,
)
def test_attribute_that_protects_nobody_costs_nothing(
    ask: Callable[..., House], told: dict[str, Any]
) -> None:
    house = ask(**told)
    assert house.answer.decision.bid
    assert all(house.users)


@pytest.mark.parametrize("chain", ["x", {"complete": "x"}, {"complete": 1, "nodes": [{"asi": 1}]}])
def test_chain_that_cannot_be_read_is_no_chain(ask: Callable[..., House], chain: Any) -> None:
    assert ask(source={"schain": chain}).answer.decision.reason == reasons.SCHAIN


@pytest.mark.parametrize("told", [{"site": "news.example"}, {"app": 7}])
def test_inventory_that_cannot_be_read_may_be_an_excluded_one(
    make_campaign: Callable[..., Campaign], told: dict[str, Any]
) -> None:
    request = decode_request(json.dumps({**REQUEST, **told}).encode())
    excluding = make_campaign(domains_exclude=("bad.example",), apps_exclude=("com.bad",))
    bidder = Bidder(
        Shelf(Catalog.build([excluding])), Scripted(), Signer({1: bytes(32)}), bytes(32), TERMS
    )
    assert bidder.answer(request, "x").decision.reason == reasons.NO_CAMPAIGN
