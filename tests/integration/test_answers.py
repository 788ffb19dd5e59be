"""Whatever an exchange asks, every answer obeys what it asked for."""

from __future__ import annotations

import copy
import http.client
import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adctl.config import RedisSettings
from adctl.models import Campaign
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.answer_rules import MEDIA, broken_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.control.daemon_process import DaemonProcess

TMAX_MS = 500
MP4 = {
    "url": "https://cdn.shoes.example/v.mp4",
    "mime": "video/mp4",
    "width": 640,
    "height": 360,
    "bitrate_kbps": 800,
}
MP3 = {"url": "https://cdn.shoes.example/a.mp3", "mime": "audio/mpeg", "bitrate_kbps": 128}
IMAGE = {"url": "https://cdn.shoes.example/i.jpg", "mime": "image/jpeg"}
KINDS: dict[str, dict[str, Any]] = {
    "banner": {"width": 300, "height": 250, "image_url": "https://cdn.shoes.example/b.png"},
    "video": {"media": {"video": {"duration_sec": 15, "files": [MP4]}}},
    "audio": {"media": {"audio": {"duration_sec": 15, "files": [MP3]}}},
    "native": {
        "media": {
            "native": {
                "titles": ["Shoes for long runs"],
                "images": [{"role": "main", "width": 1200, "height": 627, **IMAGE}],
                "data": {"sponsored": ["Shoes"]},
            }
        }
    },
}
ASSETS = [
    {"id": 1, "required": 1, "title": {"len": 90}},
    {"id": 2, "required": 1, "img": {"type": 3, "wmin": 300, "hmin": 150}},
    {"id": 3, "data": {"type": 1, "len": 25}},
]
SLOTS: dict[str, dict[str, Any]] = {
    "banner": {"format": [{"w": 300, "h": 250}, {"w": 728, "h": 90}]},
    "video": {
        "mimes": ["video/mp4"],
        "minduration": 5,
        "maxduration": 30,
        "protocols": [2, 3, 7],
        "w": 640,
        "h": 360,
    },
    "audio": {"mimes": ["audio/mpeg"], "minduration": 5, "maxduration": 30},
    "native": {"request": json.dumps({"ver": "1.2", "assets": ASSETS}), "ver": "1.2"},
}
# Attribute, where it is, and values that make a difference, right ones among them.
TWISTS: list[tuple[str, str, list[Any]]] = [
    ("request", "cur", [["USD"], ["EUR"], ["EUR", "USD"], [], None, "USD"]),
    ("request", "wseat", [["seat1"], ["other"], None, "seat1"]),
    ("request", "bseat", [["seat1"], ["other"], None]),
    ("request", "badv", [["shoes.example"], ["example"], ["oes.example"], "shoes.example", None]),
    ("request", "bcat", [["IAB17"], ["IAB17-1"], ["IAB1"], None]),
    ("request", "acat", [["IAB17-1"], ["IAB1"], None]),
    ("request", "cattax", [1, 2, None]),
    ("request", "wlang", [["en"], ["de"], None]),
    ("request", "test", [0, 1, None]),
    ("request", "tmax", [TMAX_MS, 1, 0, -5, 10**15, None]),
    ("imp", "bidfloor", [0, 1.99, 2, 2.01, 3.5, -1, 1e308, "9.99", None]),
    ("imp", "bidfloorcur", ["USD", "EUR", "usd", "XXX", None]),
    ("imp", "secure", [0, 1, None]),
    ("imp", "pmp", [{"private_auction": 1}, {"deals": [{"id": "d1"}]}, None]),
    (
        "imp",
        "pmp",
        [
            {"private_auction": private, "deals": [{"id": deal, "bidfloor": floor, **more}]}
            for private in (0, 1)
            for deal in ("d1", "d2")
            for floor in (1, 3, 9)
            for more in ({}, {"wseat": ["other"]}, {"wadomain": ["shoes.example"]}, {"at": 3})
        ],
    ),
    ("slot", "battr", [[1], [2], [], None]),
    ("slot", "format", [[{"w": 728, "h": 90}], [{"w": 300.5, "h": 250}], [], None]),
    ("slot", "w", [300, 320, 0, -300, None]),
    ("slot", "h", [250, 50, None]),
    ("slot", "mimes", [["video/webm"], ["audio/mpeg"], "video/mp4", [], None]),
    ("slot", "minduration", [0, 15, 16, None]),
    ("slot", "maxduration", [14, 15, 60, None]),
    ("slot", "rqddurs", [[15], [30], [], None]),
    ("slot", "protocols", [[1], [2], [7], [99], None]),
    ("slot", "request", ["{", "[]", json.dumps({"native": {"ver": "1.0", "assets": ASSETS}}), {}]),
]


def campaign(number: int, kind: str) -> Campaign:
    creative = {
        "id": number,
        "campaign_id": number,
        "name": kind,
        "kind": kind,
        "status": "active",
        "landing_url": "https://shoes.example/",
        "adomain": ["shoes.example"],
        "cat": ["IAB17-1"],
        "attr": [1],
        "language": "en",
        **KINDS[kind],
    }
    whole = {
        "id": number,
        "advertiser_id": 1,
        "name": kind,
        "status": "active",
        "bid_strategy": "cpm",
        "bid_amount_micros": 2_000_000,
        "daily_budget_nanos": 10**15,
        "total_budget_nanos": 10**15,
        "starts_at": "2025-01-01T00:00:00Z",
        "deals": [{"id": "d1", "bid_amount_micros": 3_000_000}],
        "creatives": [creative],
    }
    return msgspec.convert(whole, Campaign, strict=False)


def request_for(kind: str) -> dict[str, Any]:
    return {
        "id": "r",
        "tmax": TMAX_MS,
        "imp": [{"id": "1", kind: copy.deepcopy(SLOTS[kind])}],
        "site": {"domain": "news.example"},
        "user": {"id": "somebody"},
    }


@pytest.fixture(scope="module")
def bidder(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    campaigns = [campaign(number, kind) for number, kind in enumerate(KINDS, 1)]
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill(campaigns)
        for one in campaigns:
            Budgets(client).sync(one, datetime.now(UTC).date(), 0, 0)
    return start_daemon(
        "bidder",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_TRACKER_PUBLIC_URL="https://t.example",
        ADCTL_KAFKA_TOPIC_PREFIX="answers-",
    )


@pytest.fixture(scope="module")
def client(bidder: DaemonProcess) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection("127.0.0.1", bidder.port, timeout=10)
    yield client
    client.close()


def ask(client: http.client.HTTPConnection, request: dict[str, Any]) -> dict[str, Any] | None:
    began = time.monotonic()
    client.request("POST", "/bid-request", json.dumps(request))
    reply = client.getresponse()
    body = reply.read()
    assert reply.status in (200, 204, 400)
    # The request's tmax, and some for a machine that stalls.
    assert time.monotonic() - began < TMAX_MS / 1000 + 5
    return json.loads(body) if reply.status == 200 else None


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_ad_is_bid_and_obeys(client: http.client.HTTPConnection, kind: str) -> None:
    request = request_for(kind)
    answer = ask(client, request)
    assert answer is not None
    assert broken_rules(request, answer) == []
    assert MEDIA[answer["seatbid"][0]["bid"][0]["mtype"]] == kind


@pytest.mark.parametrize(
    ("kind", "place", "name", "value"),
    [
        ("banner", "request", "id", "another"),
        ("banner", "request", "cur", ["EUR"]),
        ("banner", "request", "bseat", ["seat1"]),
        ("banner", "request", "badv", ["shoes.example"]),
        ("banner", "request", "bcat", ["IAB17-1"]),
        ("banner", "request", "wlang", ["de"]),
        ("banner", "imp", "id", "another"),
        ("banner", "imp", "bidfloor", 2.01),
        ("banner", "imp", "pmp", {"private_auction": 1}),
        ("banner", "slot", "battr", [1]),
        ("banner", "slot", "format", [{"w": 728, "h": 90}]),
        ("video", "slot", "mimes", ["video/webm"]),
        ("video", "slot", "rqddurs", [30]),
        ("video", "slot", "protocols", [1]),
        ("audio", "slot", "maxduration", 14),
        ("native", "slot", "request", json.dumps({"assets": [{"id": 9, "required": 1}]})),
    ],
)
def test_an_answer_to_another_request_is_noticed(
    client: http.client.HTTPConnection, kind: str, place: str, name: str, value: object
) -> None:
    request = request_for(kind)
    answer = ask(client, request)
    assert answer is not None
    imp = request["imp"][0]
    {"request": request, "imp": imp, "slot": imp[kind]}[place][name] = value
    assert broken_rules(request, answer) != []


seen: Counter[bool] = Counter()


@given(
    kind=st.sampled_from(sorted(KINDS)),
    twists=st.lists(
        st.sampled_from(TWISTS).flatmap(
            lambda twist: st.tuples(*map(st.just, twist[:2]), st.sampled_from(twist[2]))
        ),
        max_size=4,
    ),
)
@hypothesis_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_answer_obeys_its_request(
    client: http.client.HTTPConnection, kind: str, twists: list[tuple[str, str, Any]]
) -> None:
    request = request_for(kind)
    imp = request["imp"][0]
    places = {"request": request, "imp": imp, "slot": imp[kind]}
    for place, name, value in twists:
        places[place][name] = value
    answer = ask(client, request)
    seen[answer is not None] += 1
    if answer is not None:
        assert broken_rules(request, answer) == []


def test_a_good_share_of_those_was_bid_on() -> None:
    assert seen[True] > sum(seen.values()) / 5
