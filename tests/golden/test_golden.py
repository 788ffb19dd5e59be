"""Golden auctions: a request, the campaigns and their state, and the whole answer it must get.

Each case is a JSON file; README.md beside it explains the fields. ``UPDATE_GOLDEN=1`` writes what
the bidder answers into the files instead of comparing: read the difference before committing it.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from adctl.control.deals_input import parse_deal
from adctl.delivery.bidding import Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import Rates
from adctl.delivery.frequency_cap import bucket_fields
from adctl.delivery.identity import user_id_of
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import BidToken, Purpose, Signer, hash_user
from adctl.errors import ForgedTokenError
from adctl.models import Campaign, Factors, FrequencyCap
from adctl.money import format_micros, format_nanos, parse_micros, parse_nanos
from adctl.openrtb import BidRequest, decode_request, encode_response
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets, Spent
from adctl.stores.redis import ClientScripts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from adctl.decisions import Decision


_FOLDER = Path(__file__).parent
_CASES = sorted(_FOLDER.glob("*/*.json"))
_UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
_LINE = 100
_UNIT_SEC = {"h": 3600, "d": 86_400, "m": 60}

# A Monday, at noon.
_NOON = "2026-03-02T12:00:00+00:00"
_HOLD_SEC = 120
_SIGNER = Signer({1: bytes(32)})
_USER_KEY = bytes(range(32))
_TOKEN = re.compile(r"(?<=t=)[\w.-]+")
_TERMS = Terms(
    currency="USD",
    seat="seat1",
    tracker_url="https://t.example",
    secure=True,
    max_imps=20,
    max_candidates=12,
    network_margin_ms=20,
    reservation_bucket_sec=60,
    reservation_ttl_sec=3600,
)


class House(NamedTuple):
    """The bidder as a case furnishes it."""

    bidder: Bidder
    budgets: Budgets
    campaigns: list[Campaign]
    now_ms: int


class Shelf(NamedTuple):
    current: Catalog


@pytest.mark.parametrize("path", _CASES, ids=[f"{path.parent.name}/{path.stem}" for path in _CASES])
def test_auction_comes_out_as_written(path: Path, redis_client: redis.Redis) -> None:
    case = json.loads(path.read_text())
    request = decode_request(json.dumps(case["request"]).encode())
    house = furnish(case, request, redis_client)
    answered = answer(house, request)
    if _UPDATE:
        path.write_text(readable({**case, "expected": answered}) + "\n")
        return
    expected, got = readable(case["expected"]), readable(answered)
    if got != expected:
        lines = difflib.unified_diff(
            expected.splitlines(), got.splitlines(), "expected", "answered", n=4, lineterm=""
        )
        pytest.fail(f"{case['claim']}\n\n" + "\n".join(lines), pytrace=False)


def test_there_are_auctions_to_compare() -> None:
    assert len(_CASES) >= 100


def furnish(case: dict[str, Any], request: BidRequest, client: redis.Redis) -> House:
    now = datetime.fromisoformat(case.get("now", _NOON))
    now_ms = int(now.timestamp() * 1000)
    drafts = case["campaigns"]
    assert len({draft["id"] for draft in drafts}) == len(drafts)
    campaigns = [campaign_of(draft) for draft in drafts]
    budgets = Budgets(client)
    for campaign, draft in zip(campaigns, drafts, strict=True):
        spent = parse_nanos(draft.get("spent", "0"))
        today = parse_nanos(draft.get("spent_today", "0"))
        if draft.get("funded", True):
            budgets.sync(campaign, now.date(), Spent(spent, today))
        if shown := draft.get("shown", 0):
            show(client, request, campaign, shown, now_ms)
    factors = {draft["id"]: factors_of(draft) for draft in drafts}
    numbers = count(1)
    bidder = Bidder(
        Shelf(Catalog.build(campaigns, factors, parse_micros(case.get("max_cpm", "1000000")))),
        RedisLedger(ClientScripts(client), _HOLD_SEC),
        _SIGNER,
        _USER_KEY,
        msgspec.convert({**msgspec.to_builtins(_TERMS), **case.get("terms", {})}, Terms),
        clock_ms=lambda: now_ms,
        make_bid_id=lambda: f"{next(numbers):024x}",
        rates=Rates("USD", {code: Decimal(text) for code, text in case.get("rates", {}).items()}),
    )
    return House(bidder, budgets, campaigns, now_ms)


def campaign_of(draft: dict[str, Any]) -> Campaign:
    number, creatives = draft["id"], draft.get("creatives", [{}])
    fields = {
        "id": number,
        "advertiser_id": 1,
        "name": f"campaign {number}",
        "status": draft.get("status", "active"),
        "bid_strategy": draft.get("strategy", "cpm"),
        "bid_amount_micros": parse_micros(draft["bid"]),
        "daily_budget_nanos": parse_nanos(draft.get("daily", "100")),
        "total_budget_nanos": parse_nanos(draft.get("total", "1000")),
        "starts_at": draft.get("starts_at", "2026-01-01T00:00:00Z"),
        "ends_at": draft.get("ends_at"),
        "timezone": draft.get("timezone", "UTC"),
        "targeting": draft.get("targeting", {}),
        "caps": [msgspec.to_builtins(cap_of(text)) for text in draft.get("caps", [])],
        "unidentified": draft.get("unidentified", "no_bid"),
        "roadblock": draft.get("roadblock", False),
        "max_cpm_micros": parse_micros(draft["max_cpm"]) if "max_cpm" in draft else None,
        "deals": [msgspec.to_builtins(parse_deal(text)) for text in draft.get("deals", [])],
        "creatives": [creative_of(number, place, one) for place, one in enumerate(creatives, 1)],
    }
    return msgspec.convert(fields, Campaign)


def creative_of(campaign_id: int, place: int, draft: dict[str, Any]) -> dict[str, Any]:
    width, height = draft.get("size", "300x250").split("x")
    changes = {name: value for name, value in draft.items() if name != "size"}
    return {
        "id": campaign_id * 10 + place,
        "campaign_id": campaign_id,
        "name": "banner",
        "kind": "banner",
        "status": "active",
        "landing_url": f"https://advertiser{campaign_id}.example/",
        "adomain": [f"advertiser{campaign_id}.example"],
        "image_url": f"https://cdn.example/{campaign_id}.png",
        "width": int(width),
        "height": int(height),
        **changes,
    }


def cap_of(text: str) -> FrequencyCap:
    limit, _, window = text.partition("/")
    return FrequencyCap(int(limit), int(window[:-1]) * _UNIT_SEC[window[-1]])


def factors_of(draft: dict[str, Any]) -> Factors:
    return msgspec.convert(draft.get("factors", {}), Factors)


def show(
    client: redis.Redis, request: BidRequest, campaign: Campaign, times: int, now_ms: int
) -> None:
    """Have the request's user seen the campaign, a moment ago."""
    known = user_id_of(request, _TERMS.identity)
    assert known
    user = keys.user(0, hash_user(_USER_KEY, known))
    for cap in campaign.caps:
        client.hincrby(user, bucket_fields(campaign.id, cap.window_sec, now_ms)[0], times)


def answer(house: House, request: BidRequest) -> dict[str, Any]:
    answer = house.bidder.answer(request, "default")
    response = None
    if answer.response is not None:
        text = encode_response(answer.response)
        response = shown(json.loads(text, parse_float=Decimal), house)
    states = house.budgets.read(campaign.id for campaign in house.campaigns)
    assert all(state.adds_up for state in states.values())
    reserved = {n: state.reserved for n, state in states.items() if state.reserved}
    return {
        **decision_of(answer.decision),
        "reserved": {str(n): format_nanos(nanos) for n, nanos in reserved.items()},
        "response": response,
    }


def decision_of(decision: Decision) -> dict[str, Any]:
    return {
        "bid": decision.bid,
        "reason": decision.reason,
        "imps": [
            {
                "imp": imp.imp_id,
                "floor": format_micros(imp.bidfloor_micros),
                "winner": imp.winner or None,
                "price": format_micros(imp.price_cpm_micros) if imp.winner else None,
                **({"deal": imp.deal_id} if imp.deal_id else {}),
                "runner_up": imp.runner_up or None,
                "reason": imp.reason,
                "candidates": [
                    {
                        "campaign": one.campaign_id,
                        "creative": one.creative_id,
                        "bid": format_micros(one.bid_cpm_micros),
                        **({"cut": format_micros(one.cut_micros)} if one.cut_micros else {}),
                        "outcome": one.reason or "won",
                    }
                    for one in imp.candidates
                ],
            }
            for imp in decision.imps
        ],
    }


def shown(response: dict[str, Any], house: House) -> dict[str, Any]:
    """Return a response for reading: prices as written on the wire, and of tokens what they prove.

    A signature says nothing to a reader.
    """
    for bid in response["seatbid"][0]["bid"]:
        assert isinstance(bid["price"], Decimal), "a price is a JSON number"
        bid["price"] = str(bid["price"])
        for field in {"adm", "nurl", "burl", "lurl"} & bid.keys():
            bid[field] = _TOKEN.sub(lambda found, bid=bid: proven(found[0], bid, house), bid[field])
    return response


def proven(text: str, bid: dict[str, Any], house: House) -> str:
    for purpose in Purpose:
        try:
            token = _SIGNER.verify(text, purpose, house.now_ms, 3600)
        except ForgedTokenError:
            # Of another purpose.
            continue
        assert_speaks_of(token, bid, house)
        return f"<{purpose.name.lower()} of bid {int(token.bid_id, 16)}>"
    pytest.fail(f"not a token of ours: {text}")


def assert_speaks_of(token: BidToken, bid: dict[str, Any], house: House) -> None:
    assert token.bid_id == bid["id"]
    assert (str(token.campaign_id), str(token.creative_id)) == (bid["cid"], bid["crid"])
    assert format_micros(token.asked_cpm_micros) == bid["price"]
    assert (token.bid_at_ms, token.bucket) == (house.now_ms, house.now_ms // 60_000)


def readable(value: Any, indent: int = 0) -> str:
    """Return JSON with everything on one line that fits, so that a case can be taken in."""
    flat = json.dumps(value, ensure_ascii=False)
    small = not value or not isinstance(value, dict | list)
    # The outermost levels are always laid out: a case's parts, and an answer's.
    if small or (indent > 2 and len(flat) + indent <= _LINE):
        return flat
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    inner = " " * (indent + 2)
    lines = ",\n".join(inner + line for line in _members(value, indent + 2))
    return f"{opening}\n{lines}\n{' ' * indent}{closing}"


def _members(value: dict[str, Any] | list[Any], indent: int) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield f"{json.dumps(name)}: {readable(member, indent)}"
    else:
        for member in value:
            yield readable(member, indent)
