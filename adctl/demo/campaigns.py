"""The sample campaigns: one of each kind an operator meets on a normal day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adctl.control import advertisers, campaigns, creatives
from adctl.demo.browser import CLICK_ID_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from adctl.control.plane import ControlPlane

    Json = dict[str, Any]
    # Advertiser, campaign, sizes of its creatives, and the campaign's other fields.
    Sample = tuple[str, str, tuple[str, ...], Json]

ACTOR = "demo"

_MOBILE = ("300x250", "320x50", "320x480")
_DESKTOP = ("300x250", "728x90", "160x600", "970x250")

SAMPLES: tuple[Sample, ...] = (
    (
        "Aurora Running",
        "Spring shoes",
        _DESKTOP,
        {
            "budget": "4000",
            "daily_budget": "400",
            "bid": "2.40",
            "targeting": {"countries": ["USA", "CAN"]},
        },
    ),
    (
        "Aurora Running",
        "Runners only",
        _MOBILE,
        {
            "budget": "500",
            "bid": "6.00",
            "pacing": "asap",
            "caps": ["2/1h", "5/24h"],
            "targeting": {"segments": {"any": ["runners"]}},
        },
    ),
    (
        "Harbor Coffee",
        "Near the phone",
        _MOBILE,
        {
            "budget": "900",
            "daily_budget": "90",
            "bid": "3.10",
            "targeting": {"devices": ["mobile"], "domains_exclude": ["morningledger.example"]},
        },
    ),
    (
        "Harbor Coffee",
        "Last beans (tiny)",
        ("300x250", "320x50"),
        {"budget": "0.04", "bid": "9.00", "pacing": "asap"},
    ),
    (
        "Old City Tours",
        "Once a visitor",
        ("300x250", "728x90"),
        {"budget": "300", "bid": "7.50", "pacing": "asap", "caps": ["1/24h"]},
    ),
    (
        "Old City Tours",
        "Clicks (CPC)",
        _DESKTOP,
        {
            "budget": "250",
            "strategy": "cpc",
            "bid": "1.60",
            "pacing": "asap",
            "targeting": {"devices": ["desktop"]},
        },
    ),
    (
        "Quiz Night",
        "Sign-ups (CPA)",
        _MOBILE,
        {
            "budget": "600",
            "strategy": "cpa",
            "bid": "150",
            "targeting": {"countries": ["GBR", "DEU", "FRA"]},
        },
    ),
    (
        "Quiz Night",
        "Paused until autumn",
        _DESKTOP,
        {"budget": "1000", "bid": "20", "status": "paused"},
    ),
)


def create_samples(plane: ControlPlane, samples: Sequence[Sample] = SAMPLES) -> None:
    """Create the sample advertisers, campaigns and creatives, as an operator would."""
    for name in dict.fromkeys(advertiser for advertiser, *_ in samples):
        advertisers.create(plane, ACTOR, {"name": name})
    for advertiser, name, sizes, fields in samples:
        campaign = campaigns.create(
            plane, ACTOR, {"advertiser": advertiser, "name": name, **fields}
        ).view
        for creative in _creatives(advertiser, name, sizes):
            creatives.create(plane, ACTOR, campaign.id, creative)


def _creatives(advertiser: str, campaign: str, sizes: Iterable[str]) -> Iterable[Json]:
    site = f"https://{advertiser.lower().replace(' ', '')}.example"
    slug = "-".join(campaign.lower().split()[:2])
    for number, size in enumerate(sizes):
        common = {
            "name": f"{slug} {size}",
            "size": size,
            "landing_url": f"{site}/{slug}?{CLICK_ID_PARAMETER}={{click_id}}",
            "cat": ["IAB17"] if advertiser == "Aurora Running" else [],
        }
        if number % 2:
            width, height = size.split("x")
            style = f"width:{width}px;height:{height}px"
            yield common | {
                "markup": f'<div style="{style}"><a href="{{click_url}}">{campaign}</a>{{pixel}}'
                "</div>"
            }
        else:
            yield common | {"image_url": f"{site}/banners/{slug}-{size}.png"}
