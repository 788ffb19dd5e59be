"""Campaigns and requests to measure on: made by a seeded generator, the same in every run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    FrequencyCap,
    Segments,
    Status,
    Targeting,
)

COUNTRIES = ("USA", "CAN", "DEU", "FRA", "GBR", "ESP", "ITA", "POL")
DEVICES = {"mobile": 4, "tablet": 5, "desktop": 2}
SIZES = ("300x250", "728x90", "320x50", "160x600")
CATEGORIES = tuple(f"IAB{number}" for number in range(1, 24))
SEGMENTS = tuple(f"segment-{number}" for number in range(40))
# More than a run can spend.
_BUDGET_NANOS = 10**15


def campaigns(count: int) -> list[Campaign]:
    """Return ``count`` campaigns, half of them capped, most of them for some countries only."""
    random = Random(f"campaigns {count}")
    return [_campaign(number, random) for number in range(1, count + 1)]


def bodies(count: int) -> list[bytes]:
    """Return ``count`` bid requests of about 700 bytes, each for one banner."""
    random = Random("requests")
    return [json.dumps(_request(number, random)).encode() for number in range(count)]


def mixed_bodies(count: int) -> list[bytes]:
    """Return as many requests, of ten of which four can have no bid.

    Two of those ask for more than anybody bids, one is for a size that nobody has, and one takes
    no currency of ours.
    """
    random = Random("requests")
    return [
        json.dumps(_mixed(number, _request(number, random))).encode() for number in range(count)
    ]


def _mixed(number: int, request: dict[str, Any]) -> dict[str, Any]:
    [imp] = request["imp"]
    match number % 10:
        case 1 | 6:
            return {**request, "imp": [{**imp, "bidfloor": 50}]}
        case 3:
            return {**request, "imp": [{**imp, "banner": {"w": 970, "h": 250}}]}
        case 8:
            return {**request, "cur": ["JPY"]}
    return request


def _campaign(number: int, random: Random) -> Campaign:
    def some(names: tuple[str, ...], most: int, share: float) -> tuple[str, ...]:
        if random.random() >= share:
            return ()
        return tuple(random.sample(names, random.randint(1, most)))

    return Campaign(
        id=number,
        advertiser_id=1,
        name=f"campaign {number}",
        status=Status.ACTIVE,
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=random.randint(1_000_000, 8_000_000),
        daily_budget_nanos=_BUDGET_NANOS,
        total_budget_nanos=_BUDGET_NANOS,
        starts_at=datetime(2020, 1, 1, tzinfo=UTC),
        targeting=Targeting(
            countries=some(COUNTRIES, 3, 0.8),
            devices=some(tuple(DEVICES), 2, 0.5),
            categories=some(CATEGORIES, 8, 0.3),
            segments=Segments(any=some(SEGMENTS, 8, 0.2)),
        ),
        caps=(FrequencyCap(1000, 86_400),) if random.random() < 0.5 else (),
        unidentified="skip_cap",
        creatives=tuple(_creative(number, place, random) for place in range(2)),
    )


def _creative(campaign_id: int, place: int, random: Random) -> Creative:
    width, height = random.choice(SIZES).split("x")
    return Creative(
        id=campaign_id * 10 + place,
        campaign_id=campaign_id,
        name="banner",
        kind=CreativeKind.BANNER,
        status=Status.ACTIVE,
        landing_url=f"https://advertiser{campaign_id}.example/",
        adomain=(f"advertiser{campaign_id}.example",),
        width=int(width),
        height=int(height),
        image_url=f"https://cdn.example/{campaign_id}/{place}.png",
        cat=(random.choice(CATEGORIES),),
    )


def _request(number: int, random: Random) -> dict[str, Any]:
    width, height = random.choice(SIZES).split("x")
    return {
        "id": f"request-{number}",
        "imp": [
            {
                "id": "1",
                "banner": {"w": int(width), "h": int(height), "battr": [3, 8]},
                "bidfloor": 0.25,
                "bidfloorcur": "USD",
                "secure": 1,
            }
        ],
        "site": {
            "id": "site-1",
            "domain": f"news{number % 50}.example",
            "page": f"https://news{number % 50}.example/{number}",
            "cat": [random.choice(CATEGORIES)],
            "publisher": {"id": "p-1"},
        },
        "device": {
            "ua": "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/131.0.0.0 Mobile Safari/537.36",
            "ip": "198.51.100.7",
            "devicetype": random.choice(list(DEVICES.values())),
            "language": "en",
            "geo": {"country": random.choice(COUNTRIES), "region": "MA", "city": "Boston"},
        },
        "user": {
            "id": f"visitor-{number}",
            "data": [{"segment": [{"id": random.choice(SEGMENTS)} for _ in range(3)]}],
        },
        "at": 1,
        "tmax": 500,
        "cur": ["USD"],
        "badv": ["rival.example"],
        "bcat": ["IAB25", "IAB26"],
    }
