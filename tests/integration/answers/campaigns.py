"""Campaigns of every kind, at bids from 1 to 9, for exchanges' requests to choose from."""

from __future__ import annotations

from typing import Any

import msgspec

from adctl.models import Campaign

CDN = "https://cdn.shoes.example"
SIZES = [(300, 250), (728, 90), (640, 160)]


def _file(name: str, kind: str, **facts: object) -> dict[str, Any]:
    return {"url": f"{CDN}/{name}", "mime": kind, **facts}


def _video(seconds: int, **more: object) -> dict[str, Any]:
    facts = {"width": 640, "height": 360, "bitrate_kbps": 800}
    files = [
        _file(f"{seconds}.mp4", "video/mp4", **facts),
        _file(f"{seconds}.webm", "video/webm", **facts),
        _file(f"{seconds}.m3u8", "application/vnd.apple.mpegurl", delivery="streaming"),
    ]
    return {"kind": "video", "media": {"video": {"duration_sec": seconds, "files": files, **more}}}


def _creatives(number: int) -> list[dict[str, Any]]:
    width, height = SIZES[number % 3]
    insecure = number % 4 == 0
    image = {"role": "main", **_file("n.png", "image/png"), "width": 1200, "height": 627}
    return [
        {
            "kind": "banner",
            "width": width,
            "height": height,
            "image_url": f"http{'' if insecure else 's'}://cdn.shoes.example/a.png",
        },
        _video(6),
        _video(15, skip_after_sec=5),
        _video(30),
        {
            "kind": "video",
            "media": {
                "video": {"duration_sec": 20, "tag_url": f"{CDN}/vast"},
                "api": [7] if number % 2 else [],
            },
        },
        {
            "kind": "audio",
            "media": {
                "audio": {
                    "duration_sec": 20,
                    "files": [_file("a.mp3", "audio/mpeg", bitrate_kbps=128)],
                }
            },
        },
        {
            "kind": "native",
            "media": {
                "native": {
                    "titles": ["Shoes", "Shoes for long runs"],
                    "images": [image],
                    "data": {"sponsored": ["Shoes"], "desc": ["Light shoes."]},
                }
            },
        },
    ]


def campaign(number: int) -> Campaign:
    """Return a campaign that bids ``number`` for 1,000 impressions, its creatives of every kind."""
    common = {
        "campaign_id": number,
        "name": "one",
        "status": "active",
        "landing_url": "https://shoes.example/",
        "adomain": [f"www.a{number % 4}.example"],
        # One without categories, of another taxonomy than most requests.
        "cat": [f"IAB{number % 4}-1"] if number != 7 else [],
        "cattax": 1 if number != 7 else 2,
        "attr": [number % 5 + 1],
        "language": "en" if number % 2 else "",
    }
    deals = [{"id": "deal-1", "bid_amount_micros": number * 1_100_000}, {"id": "deal-2"}]
    whole = {
        "id": number,
        "advertiser_id": 1,
        "name": f"campaign {number}",
        "status": "active",
        "bid_strategy": "cpm",
        "bid_amount_micros": number * 1_000_000,
        "daily_budget_nanos": 10**15,
        "total_budget_nanos": 10**15,
        "starts_at": "2025-01-01T00:00:00Z",
        "deals": deals[: number % 3],
        "creatives": [
            {"id": number * 100 + place, **common, **creative}
            for place, creative in enumerate(_creatives(number))
        ],
    }
    return msgspec.convert(whole, Campaign, strict=False)


CAMPAIGNS = [campaign(number) for number in range(1, 10)]
