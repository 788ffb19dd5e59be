"""Every rule that answers are judged by can be broken."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from tests.integration.answers.judge import broken_rules, decode
from tests.integration.answers.rule import RULES, WHOLE_RULES, Json, table

PIXEL = "https://t.example/track/impression?t=x&p=${AUCTION_PRICE}"
VAST = (
    '<VAST version="4.0"><Ad><InLine><Impression><![CDATA[{pixel}]]></Impression>'
    "<Creatives><Creative>"
    "<Linear><Duration>00:00:15</Duration><MediaFiles>"
    '<MediaFile delivery="progressive" type="{mime}" bitrate="800">https://cdn.example/f</MediaFile>'
    "</MediaFiles></Linear></Creative></Creatives></InLine></Ad></VAST>"
)
TAG = (
    '<VAST version="4.0"><Ad><Wrapper><Impression><![CDATA[{pixel}]]></Impression>'
    "<VASTAdTagURI></VASTAdTagURI></Wrapper></Ad></VAST>"
)
NATIVE: Json = {
    "assets": [
        {"id": 1, "title": {"text": "Shoes"}},
        {"id": 2, "img": {"url": "https://cdn.example/i", "w": 300, "h": 200}},
        {"id": 3, "data": {"value": "Acme"}},
    ],
    "link": {"url": "https://t.example/c"},
    "imptrackers": [PIXEL],
}
ASKED: Json = {
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 5}},
        {"id": 2, "img": {"wmin": 300, "h": 200}},
        {"id": 3, "data": {"type": 1, "len": 4}},
    ]
}
SLOTS: dict[str, Json] = {
    "banner": {"format": [{"w": 300, "h": 250}, {"wratio": 4, "hratio": 1, "wmin": 600}]},
    "video": {"mimes": ["video/mp4"], "protocols": [7], "maxduration": 15},
    "audio": {"mimes": ["audio/mpeg"], "protocols": [7], "maxduration": 15},
    "native": {"request": json.dumps(ASKED)},
}
PLAYED = {"dur": 15, "protocol": 7}
BIDS: dict[str, Json] = {
    "banner": {"mtype": 1, "w": 300, "h": 250, "adm": f'<img src="{PIXEL}">'},
    "video": {"mtype": 2, "adm": VAST.format(pixel=PIXEL, mime="video/mp4")} | PLAYED,
    "audio": {"mtype": 3, "adm": VAST.format(pixel=PIXEL, mime="audio/mpeg")} | PLAYED,
    "native": {"mtype": 4, "adm": json.dumps(NATIVE)},
}


def exchange(kind: str) -> tuple[Json, Json]:
    """Return a request and an answer to it that keeps every rule."""
    deal = {"id": "d", "bidfloor": 1, "wseat": ["seat1"], "wadomain": ["a.example"]}
    request = {
        "id": "r",
        "cur": ["USD"],
        "imp": [{"id": "1", "secure": 1, kind: SLOTS[kind], "pmp": {"deals": [deal]}}],
    }
    common = {
        "id": "b",
        "impid": "1",
        "price": 2,
        "cid": "1",
        "crid": "1",
        "adomain": ["a.example"],
        "cat": ["IAB1"],
        "cattax": 1,
        "attr": [1],
        "language": "en",
        "nurl": "https://t.example/w?p=${AUCTION_PRICE}",
        "burl": "https://t.example/b?p=${AUCTION_PRICE}",
        "lurl": "https://t.example/l?p=${AUCTION_PRICE}",
    }
    answer = {"id": "r", "cur": "USD", "seatbid": [{"seat": "seat1", "bid": [common | BIDS[kind]]}]}
    return copy.deepcopy((request, answer))


def changed(kind: str, changes: dict[str, Any]) -> tuple[Json, Json]:
    """Return the exchange with ``{"place.attribute": value}`` set; None takes it away."""
    request, answer = exchange(kind)
    imp, seat = request["imp"][0], answer["seatbid"][0]
    places = {
        "request": request,
        "imp": imp,
        "slot": imp[kind],
        "deal": imp["pmp"]["deals"][0],
        "answer": answer,
        "seat": seat,
        "bid": seat["bid"][0],
    }
    for name, value in changes.items():
        place, _, attribute = name.partition(".")
        places[place][attribute] = value
        if value is None:
            del places[place][attribute]
    return request, answer


def native(**changes: Any) -> str:
    return json.dumps(NATIVE | changes)


def adm(kind: str, old: str, new: str) -> str:
    text: str = BIDS[kind]["adm"]
    assert old in text
    return text.replace(old, new)


BID = exchange("banner")[1]["seatbid"][0]["bid"][0]
FOR_DEAL = {"bid.dealid": "d"}
RANGED = [{"mindur": 10, "maxdur": 20, "bidfloor": 3}]
BREAKS: list[tuple[str, str, dict[str, Any]]] = [
    ("the request's id is echoed", "banner", {"answer.id": "s"}),
    ("there is a bid, or it is no answer with bids", "banner", {"answer.seatbid": []}),
    ("there is a bid, or it is no answer with bids", "banner", {"seat.bid": []}),
    ("every bid has an id of its own", "banner", {"seat.bid": [BID, BID]}),
    ("every bid is for an impression of the request", "banner", {"bid.impid": "2"}),
    (
        "an impression gets one open bid and one for a deal at the most",
        "banner",
        {"seat.bid": [BID, BID | {"id": "c", "cid": "2"}]},
    ),
    (
        "no campaign bids against itself",
        "banner",
        {"seat.bid": [BID, BID | {"id": "c", "dealid": "d"}]},
    ),
    ("the currency is one that is taken", "banner", {"request.cur": ["EUR"]}),
    *(
        ("a bid has what exchanges drop it without", "banner", {f"bid.{name}": empty})
        for name, empty in (("adomain", []), ("crid", ""), ("crid", None), ("adm", ""))
    ),
    *(
        ("attributes are of the specification's types", "banner", {f"bid.{name}": value})
        for name, value in (("w", Decimal(300)), ("wratio", 0.25), ("cat", "IAB1"), ("crid", 1))
    ),
    ("the medium is one that is offered", "banner", {"bid.mtype": 2}),
    ("the medium is one that is offered", "banner", {"bid.mtype": 9}),
    ("the price is a number above 0", "banner", {"bid.price": 0}),
    ("the price is a number above 0", "banner", {"bid.price": Decimal(-1)}),
    ("the price reaches the floor of the deal", "banner", FOR_DEAL | {"deal.bidfloor": 2.01}),
    ("the price reaches the floor of the deal", "banner", FOR_DEAL | {"deal.bidfloorcur": "XXX"}),
    ("the price is that of a deal at a fixed price", "banner", FOR_DEAL | {"deal.at": 3}),
    ("the price reaches the floor of the impression", "banner", {"imp.bidfloor": 2.01}),
    (
        "the price reaches the floor of the impression",
        "banner",
        {"imp.bidfloor": 2, "imp.bidfloorcur": "EUR"},
    ),
    (
        "the price reaches the floor of the impression",
        "banner",
        FOR_DEAL | {"imp.bidfloor": 3, "deal.bidfloor": None},
    ),
    ("the price reaches the floor of its duration", "video", {"slot.durfloors": RANGED}),
    ("the price reaches the floor per second", "audio", {"slot.mincpmpersec": 0.14}),
    ("the seat is one that is taken", "banner", {"request.wseat": ["seat2"]}),
    ("the seat is one that is taken", "banner", {"request.bseat": ["seat1"]}),
    (
        "a private auction gets bids for its deals only",
        "banner",
        {"imp.pmp": {"private_auction": 1}},
    ),
    ("the deal is one that is offered", "banner", {"bid.dealid": "e"}),
    ("the deal is for the seat", "banner", FOR_DEAL | {"deal.wseat": ["seat2"]}),
    ("the deal is for the advertiser", "banner", FOR_DEAL | {"deal.wadomain": ["b.example"]}),
    ("the advertiser is not blocked", "banner", {"request.badv": ["A.example"]}),
    ("the advertiser is not blocked", "banner", {"request.badv": ["example"]}),
    (
        "the app that is advertised is not blocked",
        "banner",
        {"request.bapp": ["app"], "bid.bundle": "app"},
    ),
    ("the category is not blocked", "banner", {"request.bcat": ["IAB1"]}),
    ("the category is one that is allowed", "banner", {"request.acat": ["IAB2"]}),
    (
        "the category is one that is allowed",
        "banner",
        {"request.acat": ["IAB1"], "bid.cat": None, "bid.cattax": None},
    ),
    ("the language is one that is asked for", "banner", {"request.wlang": ["de"]}),
    ("the language is one that is asked for", "banner", {"request.wlangb": ["de-AT"]}),
    ("no attribute is blocked", "native", {"slot.battr": [1]}),
    ("every framework is supported", "video", {"bid.apis": [7]}),
    (
        "a secure impression gets no insecure address",
        "banner",
        {"bid.adm": f'<img src="http://cdn.example/i"><img src="{PIXEL}">'},
    ),
    ("a secure impression gets no insecure address", "banner", {"bid.burl": "http://t.example"}),
    ("notices have clean addresses that tell the price", "banner", {"bid.nurl": "//t.example"}),
    ("notices have clean addresses that tell the price", "banner", {"bid.burl": "https://t.a/b"}),
    (
        "every macro is one of the specification's",
        "banner",
        {"bid.lurl": "https://t.a/?p=${AUCTION_PRICE}&q=${PRICE}"},
    ),
    (
        "the markup tells the tracker of one impression, with its price",
        "banner",
        {"bid.adm": "<b>Shoes</b>"},
    ),
    (
        "the markup tells the tracker of one impression, with its price",
        "video",
        {"bid.adm": adm("video", "p=${AUCTION_PRICE}", "")},
    ),
    ("the size is one that is offered", "banner", {"bid.w": 301}),
    ("the size is one that is offered", "banner", {"bid.w": 640, "bid.h": 160}),
    (
        "the size is one that is offered",
        "banner",
        {"bid.w": 400, "bid.h": 100, "bid.wratio": 4, "bid.hratio": 1},
    ),
    ("the type of banner is not blocked", "banner", {"slot.btype": [2]}),
    ("the markup is VAST of the protocol it says", "video", {"bid.adm": f"<VAST {PIXEL}"}),
    ("the markup is VAST of the protocol it says", "video", {"bid.protocol": 3}),
    ("the markup is VAST of the protocol it says", "video", {"bid.protocol": 8}),
    ("the protocol is one that is supported", "audio", {"slot.protocols": [8]}),
    (
        "the ad is there: files, or a tag",
        "video",
        {"bid.protocol": 8, "bid.adm": TAG.format(pixel=PIXEL)},
    ),
    ("every file is of a type that is supported", "video", {"slot.mimes": ["video/webm"]}),
    ("every file is of a type that is supported", "video", {"slot.mimes": None}),
    ("every file is delivered as is supported", "video", {"slot.delivery": [1]}),
    ("every file has a bit rate that is supported", "audio", {"slot.minbitrate": 801}),
    ("every file has a bit rate that is supported", "audio", {"slot.maxbitrate": 799}),
    ("the length is told, in the document as in the bid", "video", {"bid.dur": 14}),
    ("the length is told, in the document as in the bid", "video", {"bid.dur": 0}),
    ("the length is one of those that are required", "video", {"slot.rqddurs": [10, 30]}),
    ("the length is within the range", "audio", {"slot.minduration": 16}),
    (
        "the length is within the range",
        "audio",
        {"slot.maxduration": 10, "slot.maxextended": 4},
    ),
    ("a linear ad is not sent where none is taken", "video", {"slot.linearity": 2}),
    ("an ad that can be skipped says so where it is allowed", "video", {"bid.attr": [16]}),
    (
        "an ad that can be skipped says so where it is allowed",
        "video",
        {
            "bid.attr": [16],
            "slot.skip": 0,
            "bid.adm": adm("video", "<Linear>", '<Linear skipoffset="00:00:05">'),
        },
    ),
    ("the answer is native, wrapped as the request is", "native", {"bid.adm": "{" + PIXEL}),
    (
        "the answer is native, wrapped as the request is",
        "native",
        {"slot.request": json.dumps({"native": ASKED})},
    ),
    ("every required asset is answered", "native", {"bid.adm": native(assets=[])}),
    (
        "only assets that are asked for are answered, once, as what they are",
        "native",
        {"bid.adm": native(assets=[*NATIVE["assets"], {"id": 4, "title": {"text": "x"}}])},
    ),
    (
        "only assets that are asked for are answered, once, as what they are",
        "native",
        {"bid.adm": native(assets=NATIVE["assets"] * 2)},
    ),
    ("no text is longer than asked for", "native", {"bid.adm": adm("native", "Shoes", "Boots!")}),
    ("no text is longer than asked for", "native", {"bid.adm": adm("native", "Acme", "Acme!")}),
    (
        "every image has the size that is asked for",
        "native",
        {"bid.adm": adm("native", "300", "299")},
    ),
    (
        "every image has the size that is asked for",
        "native",
        {"bid.adm": adm("native", "200", "201")},
    ),
    ("a click leads somewhere", "native", {"bid.adm": native(link={})}),
]


@pytest.mark.parametrize("kind", SLOTS)
def test_good_answer_breaks_no_rule(kind: str) -> None:
    assert broken_rules(*exchange(kind)) == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("banner", FOR_DEAL | {"imp.pmp": {"private_auction": 1, "deals": [{"id": "d"}]}}),
        ("banner", FOR_DEAL | {"deal.bidfloor": 2, "deal.at": 3, "imp.bidfloor": 9}),
        ("banner", FOR_DEAL | {"imp.pmp": {"deals": [{"id": "d", "wseat": ["x"]}, {"id": "d"}]}}),
        ("banner", {"request.bcat": ["IAB1"], "request.cattax": 2}),
        ("banner", {"answer.cur": "EUR", "request.cur": None, "imp.bidfloor": 2.2}),
        ("banner", {"bid.w": 640, "bid.h": 160, "bid.wratio": 4, "bid.hratio": 1}),
        ("banner", {"imp.secure": 0, "bid.adm": f'<a href="http://x"></a><img src="{PIXEL}">'}),
        ("banner", {"imp.bidfloor": "9", "request.badv": "a.example", "slot.battr": None}),
        ("video", {"imp.bidfloor": 9, "slot.durfloors": [{"mindur": 10, "bidfloor": 2}]}),
        ("video", {"slot.maxduration": 10, "slot.maxextended": -1}),
        ("video", {"slot.maxduration": None, "slot.rqddurs": [15]}),
    ],
)
def test_what_is_allowed_breaks_no_rule(kind: str, changes: dict[str, Any]) -> None:
    assert broken_rules(*changed(kind, changes)) == []


@pytest.mark.parametrize(("sentence", "kind", "changes"), BREAKS)
def test_rule_can_be_broken(sentence: str, kind: str, changes: dict[str, Any]) -> None:
    assert sentence in broken_rules(*changed(kind, changes))


def test_every_rule_is_broken_above() -> None:
    assert {sentence for sentence, _, _ in BREAKS} == RULES.keys() | WHOLE_RULES.keys()


def test_number_that_json_does_not_have_is_refused() -> None:
    assert table(decode(b'{"price": 1.10}'))["price"] == Decimal("1.10")
    with pytest.raises(ValueError, match="NaN"):
        decode(b'{"price": NaN}')
