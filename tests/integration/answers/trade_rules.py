"""The rules of every answer: its form, its price, who may bid, what is blocked, addresses."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

from tests.integration.answers.rule import (
    Json,
    Placed,
    bids_of,
    listed,
    number,
    rule,
    table,
    whole_rule,
)

WORTH = {"USD": Decimal(1), "EUR": Decimal("1.1"), "JPY": Decimal("0.0066")}
"""What one unit of a currency is worth in the account's, which is USD."""

_FIXED_PRICE = 3
# Two conversions, each to the micro.
_ROUNDING = Decimal("0.000002")
_SECTION_4_2_3 = {
    **dict.fromkeys(("id", "impid", "adm", "nurl", "burl", "lurl", "cid", "crid"), str),
    **dict.fromkeys(("dealid", "language", "bundle", "langb"), str),
    **dict.fromkeys(("w", "h", "wratio", "hratio", "mtype", "exp", "dur"), int),
    **dict.fromkeys(("protocol", "cattax", "qagmediarating", "slotinpod"), int),
}
_LISTS = {"adomain": str, "cat": str, "attr": int, "apis": int}
# 4.4: substitution macros.
_MACROS = {
    f"AUCTION_{name}"
    for name in (
        *("ID", "BID_ID", "IMP_ID", "SEAT_ID", "AD_ID", "PRICE", "CURRENCY", "MBR", "LOSS"),
        *("MIN_TO_WIN", "MULTIPLIER", "IMP_TS", "DISCOUNT_PCT", "DISCOUNT_CPM"),
    )
}


# --- the answer as a whole ---


@whole_rule("the request's id is echoed")
def _(request: Json, answer: Json) -> bool:
    return bool(answer["id"] == request["id"])


@whole_rule("there is a bid, or it is no answer with bids")
def _(request: Json, answer: Json) -> bool:
    return bool(answer["seatbid"]) and all(seat["bid"] for seat in answer["seatbid"])


@whole_rule("every bid has an id of its own")
def _(request: Json, answer: Json) -> bool:
    ids = [bid["id"] for _, bid in bids_of(answer)]
    return len(set(ids)) == len(ids)


@whole_rule("every bid is for an impression of the request")
def _(request: Json, answer: Json) -> bool:
    # One that is none is left out, not its neighbours.
    offered = [table(imp).get("id") for imp in request["imp"]]
    return all(offered.count(bid["impid"]) == 1 for _, bid in bids_of(answer))


@whole_rule("an impression gets one open bid and one for a deal at the most")
def _(request: Json, answer: Json) -> bool:
    made = Counter((bid["impid"], "dealid" in bid) for _, bid in bids_of(answer))
    return max(made.values(), default=1) == 1


@whole_rule("no campaign bids against itself")
def _(request: Json, answer: Json) -> bool:
    campaigns = [bid["cid"] for _, bid in bids_of(answer)]
    return len(set(campaigns)) == len(campaigns)


@whole_rule("the currency is one that is taken")
def _(request: Json, answer: Json) -> bool:
    taken = listed(request.get("cur"))
    return not taken or answer.get("cur", "USD") in taken


# --- what a bid is ---


@rule("a bid has what exchanges drop it without")
def _(placed: Placed) -> bool:
    needed = ("id", "impid", "price", "mtype", "crid", "cid", "adm", "adomain")
    return all(placed.bid.get(name) for name in needed)


@rule("attributes are of the specification's types")
def _(placed: Placed) -> bool:
    bid = placed.bid
    return all(
        type(bid[name]) is kind for name, kind in _SECTION_4_2_3.items() if name in bid
    ) and all(
        isinstance(bid[name], list) and all(type(one) is kind for one in bid[name])
        for name, kind in _LISTS.items()
        if name in bid
    )


@rule("the medium is one that is offered")
def _(placed: Placed) -> bool:
    return isinstance(placed.imp.get(placed.kind), dict)


@rule("the price is a number above 0")
def _(placed: Placed) -> bool:
    price = number(placed.bid["price"])
    return price is not None and price.is_finite() and price > 0


# --- what it must reach: the deal's floor, else the medium's, else the impression's [7.11.2] ---


@rule("the price reaches the floor of the deal")
def _(placed: Placed) -> bool:
    deal = placed.deal
    return deal is None or _reached(placed, deal.get("bidfloor"), deal.get("bidfloorcur"))


@rule("the price is that of a deal at a fixed price")
def _(placed: Placed) -> bool:
    deal = placed.deal or {}
    fixed = number(deal.get("bidfloor"))
    if deal.get("at") != _FIXED_PRICE or fixed is None or fixed <= 0:
        return True
    exact = fixed * WORTH.get(_code(deal.get("bidfloorcur")), Decimal(0)) / WORTH[placed.currency]
    # What is converted is rounded.
    return bool(abs(placed.bid["price"] - exact) <= _ROUNDING)


@rule("the price reaches the floor of the impression")
def _(placed: Placed) -> bool:
    floor = placed.imp.get("bidfloor")
    ranged = _floors_of_duration(placed)
    return _has_own_floor(placed.deal) or bool(ranged) or _reached_imp(placed, floor)


@rule("the price reaches the floor of its duration", "video", "audio")
def _(placed: Placed) -> bool:
    ranged = _floors_of_duration(placed)
    return _has_own_floor(placed.deal) or not ranged or _reached_imp(placed, max(ranged))


@rule("the price reaches the floor per second", "video", "audio")
def _(placed: Placed) -> bool:
    per_second = number(placed.slot.get("mincpmpersec"))
    if _has_own_floor(placed.deal) or per_second is None:
        return True
    return _reached_imp(placed, per_second * placed.bid["dur"])


def _has_own_floor(deal: Json | None) -> bool:
    return deal is not None and number(deal.get("bidfloor")) is not None


def _floors_of_duration(placed: Placed) -> list[Decimal]:
    seconds, floors = placed.bid.get("dur", 0), []
    for one in map(table, listed(placed.slot.get("durfloors"))):
        least, most, floor = (number(one.get(key)) for key in ("mindur", "maxdur", "bidfloor"))
        told = floor is not None and (least is not None or most is not None)
        above = least is None or least <= seconds
        if told and above and (most is None or seconds <= most):
            floors.append(floor or Decimal(0))
    return floors


def _reached_imp(placed: Placed, floor: object) -> bool:
    return _reached(placed, floor, placed.imp.get("bidfloorcur"))


def _reached(placed: Placed, floor: object, currency: object) -> bool:
    least, price = number(floor), placed.bid["price"]
    if least is None or least <= 0:
        return True
    if _code(currency) == placed.currency:
        return bool(price >= least)
    worth = WORTH.get(_code(currency))
    return worth is not None and bool(price >= least * worth / WORTH[placed.currency] - _ROUNDING)


def _code(currency: object) -> str:
    return (currency if isinstance(currency, str) and currency else "USD").strip().upper()


# --- who may bid, for whom ---


@rule("the seat is one that is taken")
def _(placed: Placed) -> bool:
    wanted, blocked = listed(placed.request.get("wseat")), listed(placed.request.get("bseat"))
    return (not wanted or placed.seat in wanted) and placed.seat not in blocked


@rule("a private auction gets bids for its deals only")
def _(placed: Placed) -> bool:
    return bool(placed.bid.get("dealid")) or not table(placed.imp.get("pmp")).get("private_auction")


@rule("the deal is one that is offered")
def _(placed: Placed) -> bool:
    return "dealid" not in placed.bid or placed.deal is not None


@rule("the deal is for the seat")
def _(placed: Placed) -> bool:
    wanted = listed((placed.deal or {}).get("wseat"))
    return not wanted or placed.seat in wanted


@rule("the deal is for the advertiser")
def _(placed: Placed) -> bool:
    wanted = {str(domain).lower() for domain in listed((placed.deal or {}).get("wadomain"))}
    return not wanted or set(placed.bid["adomain"]) <= wanted


@rule("the advertiser is not blocked")
def _(placed: Placed) -> bool:
    blocked = [str(domain).lower() for domain in listed(placed.request.get("badv"))]
    return not any(
        domain == one or domain.endswith("." + one)
        for domain in placed.bid["adomain"]
        for one in blocked
    )


@rule("the app that is advertised is not blocked")
def _(placed: Placed) -> bool:
    bundle = placed.bid.get("bundle")
    return bundle is None or bundle not in listed(placed.request.get("bapp"))


# --- what it may be about, and be like ---


@rule("the category is not blocked")
def _(placed: Placed) -> bool:
    blocked = {str(one) for one in listed(placed.request.get("bcat"))}
    return not _same_taxonomy(placed) or blocked.isdisjoint(placed.bid.get("cat", ()))


@rule("the category is one that is allowed")
def _(placed: Placed) -> bool:
    allowed, told = listed(placed.request.get("acat")), placed.bid.get("cat")
    if not _same_taxonomy(placed) or not allowed:
        return True
    return bool(told) and all(one in allowed for one in told)


def _same_taxonomy(placed: Placed) -> bool:
    return bool((placed.bid.get("cattax") or 1) == (placed.request.get("cattax") or 1))


@rule("the language is one that is asked for")
def _(placed: Placed) -> bool:
    asked = [*listed(placed.request.get("wlang")), *listed(placed.request.get("wlangb"))]
    told = placed.bid.get("language")
    return not asked or told is None or told in {str(one).split("-")[0].lower() for one in asked}


@rule("no attribute is blocked")
def _(placed: Placed) -> bool:
    blocked = listed(placed.slot.get("battr"))
    return not any(attr in blocked for attr in placed.bid.get("attr", ()))


@rule("every framework is supported")
def _(placed: Placed) -> bool:
    supported = listed(placed.slot.get("api"))
    return all(api in supported for api in placed.bid.get("apis", ()))


# --- addresses ---


@rule("a secure impression gets no insecure address")
def _(placed: Placed) -> bool:
    sent = [placed.bid.get(name, "") for name in ("adm", "nurl", "burl", "lurl")]
    return placed.imp.get("secure") != 1 or not any("http://" in text for text in sent)


@rule("notices have clean addresses that tell the price")
def _(placed: Placed) -> bool:
    return all(
        re.fullmatch(r'https?://[^\s<>"]+', placed.bid.get(name, ""))
        and "${AUCTION_PRICE}" in placed.bid[name]
        for name in ("nurl", "burl", "lurl")
    )


@rule("every macro is one of the specification's")
def _(placed: Placed) -> bool:
    sent = " ".join(placed.bid.get(name, "") for name in ("adm", "nurl", "burl", "lurl"))
    return all(name.split(":")[0] in _MACROS for name in re.findall(r"\$\{([^}]*)\}", sent))


@rule("the markup tells the tracker of one impression, with its price")
def _(placed: Placed) -> bool:
    told = re.findall(r"/track/impression\?t=[^\s\"'<\]]*", placed.bid["adm"])
    return len(told) == 1 and "p=${AUCTION_PRICE}" in told[0]
