"""What an exchange checks of a bid before it lets it into its auction, stated once more.

Written from OpenRTB 2.6, not from the bidder: it shares no code with it.
"""

from __future__ import annotations

import json
import math
import re
from itertools import product
from typing import Any

MEDIA = {1: "banner", 2: "video", 3: "audio", 4: "native"}


def broken_rules(request: dict[str, Any], response: dict[str, Any]) -> list[str]:
    """Return what is wrong with an answer that holds bids; nothing if all is well."""
    pairs = [(seat["seat"], bid) for seat in response["seatbid"] for bid in seat["bid"]]
    ids = [bid["id"] for _, bid in pairs]
    wrong = [] if response["id"] == request["id"] else ["the request's id is not echoed"]
    wrong += [] if len(set(ids)) == len(ids) and all(ids) else ["bid ids repeat or are empty"]
    wrong += [] if pairs else ["an answer without a bid"]
    currency = response.get("cur", "USD")
    if request.get("cur") and currency not in request["cur"]:
        wrong.append(f"{currency} is not allowed")
    for seat, bid in pairs:
        wrong += _seat(request, seat) + _bid(request, bid, currency, seat)
    return wrong


def _seat(request: dict[str, Any], seat: str) -> list[str]:
    allowed = not request.get("wseat") or seat in request["wseat"]
    return [] if allowed and seat not in (request.get("bseat") or []) else ["seat is not allowed"]


def _bid(request: dict[str, Any], bid: dict[str, Any], currency: str, seat: str) -> list[str]:
    imp = next((imp for imp in request["imp"] if imp["id"] == bid["impid"]), None)
    if imp is None:
        return ["an impression nobody offered"]
    kind = MEDIA.get(bid.get("mtype", 0), "")
    slot = imp.get(kind)
    if not isinstance(slot, dict):
        return [f"{kind or 'no media'} was not offered"]
    wrong = _price(imp, bid, currency) + _deal(imp, bid, seat) + _blocks(request, slot, bid)
    if imp.get("secure") and re.search(r'(src|href|<!\[CDATA\[)"?=?"?http://', bid["adm"]):
        wrong.append("insecure markup")
    return wrong + _MEDIA_RULES[kind](slot, bid)


def _price(imp: dict[str, Any], bid: dict[str, Any], currency: str) -> list[str]:
    price = bid["price"]
    if not math.isfinite(price) or price <= 0:
        return [f"price {price}"]
    deal = next((d for d in _deals(imp) if d.get("id") == bid.get("dealid")), None)
    told = deal or imp
    floor, unit = told.get("bidfloor") or 0, told.get("bidfloorcur") or "USD"
    return [f"price {price} under {floor}"] if unit == currency and price < floor else []


def _deals(imp: dict[str, Any]) -> list[dict[str, Any]]:
    return (imp.get("pmp") or {}).get("deals") or []


def _deal(imp: dict[str, Any], bid: dict[str, Any], seat: str) -> list[str]:
    if "dealid" not in bid:
        closed = (imp.get("pmp") or {}).get("private_auction")
        return ["an open bid in a private auction"] if closed else []
    deal = next((d for d in _deals(imp) if d.get("id") == bid["dealid"]), None)
    if deal is None:
        return ["a deal nobody offered"]
    wrong = []
    if deal.get("wseat") and seat not in deal["wseat"]:
        wrong.append("a deal for other seats")
    if deal.get("wadomain") and not set(bid["adomain"]) <= set(deal["wadomain"]):
        wrong.append("a deal for other advertisers")
    return wrong


def _blocks(request: dict[str, Any], slot: dict[str, Any], bid: dict[str, Any]) -> list[str]:
    wrong = []
    for domain, blocked in product(bid["adomain"], request.get("badv") or []):
        if domain == blocked.lower() or domain.endswith("." + blocked.lower()):
            wrong.append(f"{domain} is blocked")
    if (bid.get("cattax") or 1) == (request.get("cattax") or 1):
        cats = set(bid.get("cat", []))
        if cats & set(request.get("bcat") or []):
            wrong.append("a blocked category")
        if request.get("acat") and (not cats or not cats <= set(request["acat"])):
            wrong.append("a category that is not allowed")
    if set(bid.get("attr", [])) & set(slot.get("battr") or []):
        wrong.append("a blocked attribute")
    if request.get("wlang") and bid.get("language") not in (None, *request["wlang"]):
        wrong.append("another language")
    return wrong


def _banner(slot: dict[str, Any], bid: dict[str, Any]) -> list[str]:
    sizes = [(f.get("w"), f.get("h")) for f in slot.get("format") or []]
    offered = sizes or [(slot.get("w"), slot.get("h"))]
    return [] if (bid["w"], bid["h"]) in offered else [f"{bid['w']}x{bid['h']} was not offered"]


def _timed(slot: dict[str, Any], bid: dict[str, Any]) -> list[str]:
    wrong = [] if "<VAST" in bid["adm"] else ["no VAST"]
    duration = bid["dur"]
    if slot.get("rqddurs") and duration not in slot["rqddurs"]:
        wrong.append("a duration that was not asked for")
    if not (slot.get("minduration") or 0) <= duration <= (slot.get("maxduration") or math.inf):
        wrong.append("too short or too long")
    types = set(re.findall(r'<MediaFile[^>]*\btype="([^"]+)"', bid["adm"]))
    if not types & set(slot["mimes"]):
        wrong.append(f"no file of {slot['mimes']}")
    if slot.get("protocols") and bid.get("protocol") not in slot["protocols"]:
        wrong.append("another protocol")
    return wrong


def _native(slot: dict[str, Any], bid: dict[str, Any]) -> list[str]:
    asked = json.loads(slot["request"])
    asked = asked.get("native", asked)
    told = json.loads(bid["adm"])
    told = told.get("native", told)
    given = {asset["id"] for asset in told["assets"]}
    missing = [a["id"] for a in asked["assets"] if a.get("required") and a["id"] not in given]
    wrong = [f"assets {missing} are missing"] if missing else []
    return wrong if told["link"]["url"] else [*wrong, "no link"]


_MEDIA_RULES = {"banner": _banner, "video": _timed, "audio": _timed, "native": _native}
