from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from adctl.demo.people import make_people
from adctl.demo.requests import Offer, RequestMaker
from adctl.money import MICROS_PER_UNIT
from adctl.openrtb import MalformedRequestError, decode_request

if TYPE_CHECKING:
    from collections.abc import Callable


def offers(seed: int, count: int = 2000) -> list[Offer]:
    rng = random.Random(seed)
    maker = RequestMaker(make_people(50, rng), rng)
    return [maker.make() for _ in range(count)]


OFFERS = offers(1)
REQUESTS = [json.loads(o.body, parse_float=Decimal) for o in OFFERS if o.well_formed]


def test_every_well_formed_request_is_a_bid_request() -> None:
    for offer in OFFERS:
        if offer.well_formed:
            assert {imp.id for imp in decode_request(offer.body).imp} == set(offer.floors_micros)


def test_every_malformed_request_is_refused() -> None:
    broken = [offer for offer in OFFERS if not offer.well_formed]
    assert len({offer.body[:20] for offer in broken}) > 3
    for offer in broken:
        with pytest.raises(MalformedRequestError):
            decode_request(offer.body)


def test_a_seed_fixes_the_requests() -> None:
    assert offers(3, 100) == offers(3, 100)
    assert offers(3, 100) != offers(4, 100)


def test_floors_are_those_of_the_request() -> None:
    for offer in OFFERS:
        if offer.well_formed:
            for imp in json.loads(offer.body, parse_float=Decimal)["imp"]:
                micros = imp.get("bidfloor", Decimal(0)) * MICROS_PER_UNIT
                assert offer.floors_micros[imp["id"]] == micros


@pytest.mark.parametrize(
    "habit",
    [
        lambda request: "site" in request,
        lambda request: "app" in request,
        lambda request: len(request["imp"]) > 1,
        lambda request: "format" in request["imp"][0].get("banner", {}),
        lambda request: "w" in request["imp"][0].get("banner", {}),
        lambda request: "video" in request["imp"][0] and "banner" not in request["imp"][0],
        lambda request: "video" in request["imp"][0] and "banner" in request["imp"][0],
        lambda request: "native" in request["imp"][0],
        lambda request: "pmp" in request["imp"][0],
        lambda request: request["imp"][0].get("pmp", {}).get("private_auction"),
        lambda request: request.get("test"),
        lambda request: request["cur"] == ["EUR"],
        lambda request: request.get("regs", {}).get("gdpr"),
        lambda request: request.get("regs", {}).get("ext", {}).get("gdpr"),
        lambda request: request.get("regs", {}).get("us_privacy") == "1YYN",
        lambda request: request["device"].get("lmt"),
        lambda request: "user" not in request,
        lambda request: "badv" in request,
        lambda request: not request["imp"][0]["secure"],
        lambda request: "bidfloor" not in request["imp"][0],
    ],
)
def test_exchanges_of_all_habits_are_played(habit: Callable[[dict[str, Any]], bool]) -> None:
    assert any(habit(request) for request in REQUESTS)


def test_users_come_back() -> None:
    users = [request["user"]["id"] for request in REQUESTS if "user" in request]
    assert len(set(users)) == 50
