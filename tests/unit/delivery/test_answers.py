"""Whatever is asked, an answer keeps the rules an exchange judges it by.

The rules are written down here once more, on plain JSON and without the bidder's own code.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adctl.delivery import reasons
from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.bidding import Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import Rates
from adctl.delivery.pricing import second_price_cpm_micros
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Signer
from adctl.models import (
    AudioMedia,
    Campaign,
    Creative,
    CreativeKind,
    Deal,
    Factors,
    Media,
    MediaFile,
    NativeImage,
    NativeMedia,
    VideoMedia,
)
from adctl.openrtb import decode_request, encode_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Json = dict[str, Any]

NOW_MS = 1_767_225_600_000
TERMS = Terms("USD", "seat1", "https://t.example", True, 20, 12, 20, 60, 3600)
PRICES = {"USD": Decimal(1), "EUR": Decimal("1.1"), "JPY": Decimal("0.0066")}
KINDS = {1: "banner", 2: "video", 3: "audio", 4: "native"}
NATIVE_REQUESTS = [
    json.dumps({"ver": "1.2", "assets": [{"id": 1, "required": 1, "title": {"len": 90}}]}),
    json.dumps({"native": {"assets": [{"id": 5, "required": 1, "img": {"type": 3, "wmin": 9}}]}}),
    json.dumps({"assets": [{"id": 2, "required": 1, "data": {"type": 3}}]}),
    "{",
]


class Shelf(NamedTuple):
    current: Catalog


class Plain:
    """A ledger with money for everything: the dearest wins at the second price."""

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        won: set[int] = set()
        return [self._verdict(auction, won) for auction in auctions]

    def _verdict(self, auction: ImpAuction, won: set[int]) -> Verdict:
        free = [place for place, one in enumerate(auction.candidates) if one.campaign.id not in won]
        outcomes = tuple(
            reasons.WON if place == (free or [None])[0] else reasons.SAME_REQUEST
            for place in range(len(auction.candidates))
        )
        if not free:
            return Verdict(None, 0, None, outcomes)
        best = auction.candidates[free[0]]
        second = auction.candidates[free[1]].bid_cpm_micros if len(free) > 1 else None
        won.add(best.campaign.id)
        price = second_price_cpm_micros(best.bid_cpm_micros, second, best.floor_micros)
        return Verdict(free[0], price, free[1] if len(free) > 1 else None, outcomes)


@pytest.fixture(scope="session")
def bidder(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> Bidder:
    """A bidder with campaigns of every kind, at bids from 1 to 9."""
    media: list[tuple[CreativeKind, Media]] = [(CreativeKind.BANNER, Media())]
    for seconds in (6, 15, 30):
        files = tuple(
            MediaFile(f"https://cdn.example/{seconds}.{end}", f"video/{end}", 640, 360, 800)
            for end in ("mp4", "webm")
        )
        media.append((CreativeKind.VIDEO, Media(video=VideoMedia(seconds, files))))
    sound = (MediaFile("https://cdn.example/a.mp3", "audio/mpeg"),)
    media.append((CreativeKind.AUDIO, Media(audio=AudioMedia(20, sound))))
    image = NativeImage("main", "https://cdn.example/n.png", "image/png", 1200, 627)
    media.append((CreativeKind.NATIVE, Media(native=NativeMedia(("Shoes",), (image,)))))
    sizes = [(300, 250), (728, 90), (640, 160)]

    def make(number: int) -> Campaign:
        creatives = tuple(
            make_creative(
                id=number * 100 + place,
                campaign_id=number,
                kind=kind,
                media=told,
                width=sizes[number % 3][0],
                height=sizes[number % 3][1],
                image_url=f"http{'' if number % 4 == 0 else 's'}://cdn.example/a.png",
                adomain=(f"a{number % 4}.example",),
                cat=(f"IAB{number % 4}-1",),
                attr=(number % 5 + 1,),
                language="en" if number % 2 else "",
            )
            for place, (kind, told) in enumerate(media)
        )
        deals = (Deal("deal-1", number * 1_100_000), Deal("deal-2"))[: number % 3]
        return make_campaign(
            number, bid_amount_micros=number * 1_000_000, creatives=creatives, deals=deals
        )

    factors = {2: Factors(pacing_ppm=500_000), 5: Factors(pacing_ppm=0)}
    catalog = Catalog.build([make(number) for number in range(1, 10)], factors)
    return Bidder(
        Shelf(catalog),
        Plain(),
        Signer({1: bytes(32)}),
        bytes(32),
        TERMS,
        # Creatives take turns by the millisecond.
        clock_ms=count(NOW_MS).__next__,
        rates=Rates("USD", {code: price for code, price in PRICES.items() if code != "USD"}),
    )


def some(*values: Any, most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), max_size=most)


def maybe(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=parts)


PRICE = st.sampled_from([0, 0.5, 1, 2.25, 4, 8, 1000, -1])
CURRENCY = st.sampled_from(["USD", "EUR", "JPY", "eur", "XXX"])
DOMAINS = some("a1.example", "A2.example", "a3.example", "example.org")
SIZE = st.sampled_from(
    [{"w": 300, "h": 250}, {"w": 728, "h": 90}, {"wratio": 4, "hratio": 1}, {"w": 1, "h": 1}]
)
BANNER = maybe(
    format=st.lists(SIZE, max_size=3),
    w=st.sampled_from([300, 728, 0]),
    h=st.sampled_from([250, 90]),
    battr=some(1, 2, 3, 9),
    btype=some(1, 2, 4),
    mimes=some("image/png", "text/html", "image/gif"),
)
SLOT: dict[str, st.SearchStrategy[Any]] = {
    "minduration": st.sampled_from([1, 7, 20]),
    "maxduration": st.sampled_from([6, 15, 60]),
    "rqddurs": some(6, 15, 20),
    "protocols": some(2, 3, 7, 9, 14),
    "battr": some(1, 2, 3),
    "mincpmpersec": st.sampled_from([0, 0.1, 0.4, 0.7]),
}
VIDEO = maybe(mimes=some("video/mp4", "video/webm", "video/ogg"), **SLOT)
AUDIO = maybe(mimes=some("audio/mpeg", "audio/mp3", "audio/ogg"), **SLOT)
NATIVE = maybe(request=st.sampled_from(NATIVE_REQUESTS), battr=some(1, 2, 3))
DEAL = maybe(
    id=st.sampled_from(["deal-1", "deal-2", "deal-9"]),
    bidfloor=PRICE,
    bidfloorcur=CURRENCY,
    at=st.sampled_from([1, 2, 3]),
    wseat=some("seat1", "seat2", most=1),
    wadomain=DOMAINS,
    guar=st.sampled_from([0, 1]),
)
IMP = maybe(
    banner=BANNER,
    video=VIDEO,
    audio=AUDIO,
    native=NATIVE,
    bidfloor=PRICE,
    bidfloorcur=CURRENCY,
    secure=st.sampled_from([0, 1]),
    pmp=maybe(private_auction=st.sampled_from([0, 1]), deals=st.lists(DEAL, max_size=3)),
)
REQUEST = maybe(
    cur=some("USD", "EUR", most=2),
    badv=DOMAINS,
    bcat=some("IAB1", "IAB2-1", most=2),
    acat=some("IAB1-1", "IAB2-1", "IAB3-1", most=2),
    cattax=st.sampled_from([1, 2]),
    wlang=some("en", "de", most=1),
    wseat=some("seat1", "seat2", most=1),
    bseat=some("seat1", "seat2", most=1),
)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(REQUEST, st.lists(IMP, min_size=1, max_size=3))
def test_no_bid_breaks_a_rule_of_its_request(bidder: Bidder, parts: Json, imps: list[Json]) -> None:
    numbered = [{**imp, "id": str(number)} for number, imp in enumerate(imps)]
    request = {**parts, "id": "r", "imp": numbered}
    answer = bidder.answer(decode_request(json.dumps(request).encode()), "default")
    if answer.response is None:
        assert answer.decision.reason in reasons.NBR
        return
    response = json.loads(encode_response(answer.response), parse_float=Decimal)
    assert list(broken_rules(request, response)) == []


def test_rules_are_not_kept_by_never_bidding(bidder: Bidder) -> None:
    everything = {
        "banner": {"banner": {"format": [{"w": 300, "h": 250}, {"wratio": 4, "hratio": 1}]}},
        "video": {"video": {"mimes": ["video/mp4"]}},
        "audio": {"audio": {"mimes": ["audio/mpeg"]}},
        "native": {"native": {"request": NATIVE_REQUESTS[0]}},
        "deal": {"banner": {"w": 300, "h": 250}, "pmp": {"deals": [{"id": "deal-1"}]}},
    }
    request = {"id": "r", "imp": [{"id": name, **offer} for name, offer in everything.items()]}
    response = bidder.answer(decode_request(json.dumps(request).encode()), "x").response
    assert response is not None
    told = json.loads(encode_response(response), parse_float=Decimal)
    assert {bid["impid"] for bid in told["seatbid"][0]["bid"]} == everything.keys()
    assert list(broken_rules(request, told)) == []


def broken_rules(request: Json, response: Json) -> Iterator[str]:
    bids = [bid for seat in response["seatbid"] for bid in seat["bid"]]
    imps = {imp["id"]: imp for imp in request["imp"]}
    yield from _of_response(request, response)
    if len({bid["id"] for bid in bids}) < len(bids):
        yield "bid ids repeat"
    if len({bid["cid"] for bid in bids}) < len(bids):
        yield "a campaign bids against itself"
    slots = [(bid["impid"], "dealid" in bid) for bid in bids]
    if len(set(slots)) < len(slots):
        yield "several bids for the same"
    for bid in bids:
        if bid["impid"] not in imps:
            yield "no such impression"
            continue
        imp = imps[bid["impid"]]
        for broken in (
            *_of_price(imp, bid, PRICES[response["cur"]]),
            *_of_blocks(request, bid),
            *_of_offer(imp, bid),
            *_of_urls(imp, bid),
        ):
            yield f"{broken}: {bid}"


def _of_response(request: Json, response: Json) -> Iterator[str]:
    if response["id"] != request["id"]:
        yield "another request is answered"
    if request.get("cur") and response["cur"] not in request["cur"]:
        yield "currency"
    for seat in response["seatbid"]:
        wanted, blocked = request.get("wseat"), request.get("bseat")
        if (wanted and seat["seat"] not in wanted) or seat["seat"] in (blocked or ()):
            yield "seat"


def _of_price(imp: Json, bid: Json, worth: Decimal) -> Iterator[str]:
    pmp, slot = imp.get("pmp", {}), imp.get(KINDS[bid["mtype"]], {})
    price = Decimal(str(bid["price"])) * worth
    floor, currency = imp.get("bidfloor", 0), imp.get("bidfloorcur", "USD")
    per_second = Decimal(str(slot.get("mincpmpersec", 0))) * bid.get("dur", 0)
    if price <= 0:
        yield "price"
    if "dealid" in bid:
        offered = [deal for deal in pmp.get("deals", []) if deal.get("id") == bid["dealid"]]
        met = [deal for deal in offered if not list(_of_deal(deal, imp, price, per_second, bid))]
        if not met:
            yield "deal"
        return
    if pmp.get("private_auction"):
        yield "open bid into a private auction"
    if not _meets(price, floor, currency) or not _meets(price, per_second, currency):
        yield "floor"


def _of_deal(
    deal: Json, imp: Json, price: Decimal, per_second: Decimal, bid: Json
) -> Iterator[str]:
    if "bidfloor" in deal:
        floor, currency = deal["bidfloor"], deal.get("bidfloorcur", "USD")
        if not _meets(price, floor, currency):
            yield "deal floor"
        elif deal.get("at") == 3 and floor > 0:
            exact = Decimal(str(floor)) * PRICES[currency.upper()]
            # Rounded to a micro, of the bid's currency too.
            if abs(price - exact) >= Decimal("0.0000022"):
                yield "not the fixed price"
    else:
        currency = imp.get("bidfloorcur", "USD")
        if not _meets(price, max(imp.get("bidfloor", 0), per_second), currency):
            yield "deal without a floor of its own"
    if deal.get("wseat") and "seat1" not in deal["wseat"]:
        yield "deal seat"
    wanted = {domain.lower() for domain in deal.get("wadomain", [])}
    if wanted and not set(bid["adomain"]) <= wanted:
        yield "deal advertiser"


def _meets(price: Decimal, floor: Any, currency: str) -> bool:
    if floor <= 0:
        return True
    worth = PRICES.get(currency.upper())
    return worth is not None and price >= Decimal(str(floor)) * worth


def _of_blocks(request: Json, bid: Json) -> Iterator[str]:
    blocked = {domain.lower() for domain in request.get("badv", [])}
    if blocked & set(bid["adomain"]):
        yield "advertiser"
    if request.get("cattax", 1) == bid.get("cattax", 1):
        if set(bid["cat"]) & set(request.get("bcat", [])):
            yield "category"
        if request.get("acat") and not set(bid["cat"]) <= set(request["acat"]):
            yield "category not allowed"
    if request.get("wlang") and bid.get("language", request["wlang"][0]) not in request["wlang"]:
        yield "language"


def _of_offer(imp: Json, bid: Json) -> Iterator[str]:
    kind = KINDS[bid["mtype"]]
    if kind not in imp:
        yield "kind"
        return
    offered = imp[kind]
    if set(bid.get("attr", [])) & set(offered.get("battr", [])):
        yield "attribute"
    if kind == "banner":
        yield from _of_banner(offered, bid)
    elif kind == "native":
        request, answer = json.loads(offered["request"]), json.loads(bid["adm"])
        request, answer = request.get("native", request), answer.get("native", answer)
        given_ids = {asset["id"] for asset in answer["assets"]}
        if not {one["id"] for one in request["assets"] if one.get("required")} <= given_ids:
            yield "asset"
    else:
        yield from _of_player(offered, bid)


def _of_banner(offered: Json, bid: Json) -> Iterator[str]:
    exact = {(one.get("w"), one.get("h")) for one in offered.get("format", [])}
    ratios = {(one.get("wratio"), one.get("hratio")) for one in offered.get("format", [])}
    if not offered.get("format"):
        exact = {(offered.get("w"), offered.get("h"))}
    ratio = (bid.get("wratio"), bid.get("hratio"))
    if (bid["w"], bid["h"]) not in exact and (None in ratio or ratio not in ratios):
        yield "size"
    if 2 in offered.get("btype", []):
        yield "banner type"


def _of_player(offered: Json, bid: Json) -> Iterator[str]:
    seconds = bid["dur"]
    if offered.get("rqddurs") and seconds not in offered["rqddurs"]:
        yield "exact duration"
    if not offered.get("minduration", 0) <= seconds <= offered.get("maxduration", 10**6):
        yield "duration"
    if offered.get("protocols") and bid["protocol"] not in offered["protocols"]:
        yield "protocol"
    sent = set(re.findall(r'<MediaFile [^>]*type="([^"]+)"', bid["adm"]))
    if not sent or not sent <= set(offered.get("mimes", [])):
        yield "file type"


def _of_urls(imp: Json, bid: Json) -> Iterator[str]:
    for name in ("nurl", "burl", "lurl"):
        if not re.fullmatch(r"https://t\.example/[^\s<>\"]+", bid[name]):
            yield name
    plain = bid["adm"].replace("http://www.iab.com/VAST", "")
    if imp.get("secure") and "http://" in plain:
        yield "insecure"
