"""The index held against a plain reading of the rules, in worlds made at random."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.delivery import campaign_index
from adctl.delivery.bitmaps import WORD_BITS, positions
from adctl.delivery.campaign_index import is_near
from adctl.delivery.mismatch import matches
from adctl.delivery.targeting import RequestAttributes
from adctl.models import (
    Campaign,
    Creative,
    CreativeKind,
    Segments,
    Status,
    TimeWindow,
)
from tests.unit.delivery.finding import BERLIN, NOW, build, found, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from random import Random

    from adctl.delivery.campaign_index import CampaignIndex
    from adctl.delivery.targeting import Format


# How many worlds are made; `make soak` asks for 10,000.
WORLDS = int(os.environ.get("INDEX_WORLDS", "100"))

FORMATS: list[Format] = [
    (300, 250),
    (728, 90),
    (1, 1),
    (CreativeKind.VIDEO,),
    (CreativeKind.NATIVE,),
]

# A world with few values of each kind, so that campaigns and requests often meet.
PLACES = (
    {"on_site": True, "domains": ("a.com", "com")},
    {"on_site": True, "domains": ("b.a.com", "a.com", "com")},
    {"on_site": True, "domains": ("c.org", "org")},
    {"on_site": True},
    {"in_app": True, "bundle": "app.x"},
    {"in_app": True, "bundle": "app.y"},
    {"in_app": True},
    {},
)
RESTRICTIONS: dict[str, Callable[[Random], object]] = {
    "countries": lambda r: some(r, "USA", "deu"),
    "regions": lambda r: some(r, "CA", "NY"),
    "cities": lambda r: some(r, "Berlin", "Bonn"),
    "metros": lambda r: some(r, "803", "501"),
    "postal_codes": lambda r: some(r, "10 115", "20095"),
    "radii": lambda _: (BERLIN,),
    "devices": lambda r: some(r, "mobile", "tablet", "desktop"),
    "os": lambda r: some(r, "ios", "android"),
    "browsers": lambda r: some(r, "chrome", "safari"),
    "connections": lambda r: some(r, "wifi", "cellular", "4g"),
    "segments": lambda r: Segments(
        any=some(r, *"pqr") if r.random() < 0.4 else (),
        all=some(r, *"pqr") if r.random() < 0.4 else (),
        none=some(r, *"pqr") if r.random() < 0.4 else (),
    ),
    "time_windows": lambda r: (
        TimeWindow(
            weekdays=some(r, "mon", "wed", "sun") if r.random() < 0.5 else (),
            from_hour=r.randrange(12),
            to_hour=r.randrange(10, 25),
        ),
    ),
    "domains_include": lambda r: some(r, "a.com", "b.a.com", "c.org"),
    "domains_exclude": lambda r: some(r, "a.com", "b.a.com", "c.org"),
    "apps_include": lambda r: some(r, "app.x", "app.y"),
    "apps_exclude": lambda r: some(r, "app.x", "app.y"),
    "categories": lambda r: some(r, "IAB1", "IAB1-1"),
    "languages": lambda r: some(r, "en", "de"),
    "sizes": lambda r: some(r, "300x250", "728x90"),
}


def some(random: Random, *values: str) -> tuple[str, ...]:
    return tuple(random.sample(values, random.randint(1, min(2, len(values)))))


def perhaps(random: Random, *values: str) -> frozenset[str]:
    return frozenset(random.sample(values, random.randint(0, 2)))


def a_moment(random: Random) -> datetime:
    return NOW + timedelta(milliseconds=random.randint(-(10**8) * 4, 10**8 * 4))


def a_draft(random: Random) -> dict[str, Any]:
    restricted = random.sample(sorted(RESTRICTIONS), random.choice([0, 1, 1, 2, 2, 3, 5]))
    return {
        "timezone": random.choice(["UTC", "America/New_York", "Asia/Kathmandu"]),
        "bid_amount_micros": random.randint(1, 5),
        "status": random.choice([Status.ACTIVE] * 9 + [Status.PAUSED]),
        "starts_at": a_moment(random) if random.random() < 0.2 else NOW - timedelta(days=9),
        "ends_at": a_moment(random) if random.random() < 0.2 else None,
        **{name: RESTRICTIONS[name](random) for name in restricted},
    }


def a_request(random: Random) -> RequestAttributes:
    lat = random.choice([None, 52.5, 10.0])
    return RequestAttributes(
        country=random.choice(["", "USA", "DEU"]),
        region=random.choice(["", "ca", "ny"]),
        city=random.choice(["", "berlin", "bonn"]),
        metro=random.choice(["", "803", "501"]),
        postal_code=random.choice(["", "10115", "20095"]),
        lat=lat,
        lon=None if lat is None else 13.4,
        devices=perhaps(random, "mobile", "tablet", "desktop"),
        systems=perhaps(random, "ios", "android"),
        browser=random.choice(["", "chrome", "safari"]),
        connections=perhaps(random, "wifi", "cellular", "4g"),
        segments=random.choice([None, perhaps(random, *"pqr"), frozenset("pqr")]),
        categories=random.choice([frozenset(), frozenset({"iab1"}), frozenset({"iab1", "iab1-1"})]),
        language=random.choice(["", "en", "de"]),
        **random.choice(PLACES),
    )


@pytest.fixture(scope="module", autouse=True)
def _few_come_first() -> Iterator[None]:
    """Make the first positions so few that worlds have more, or get more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign_index, "FIRST_POSITIONS", WORD_BITS)
        patch.setattr(campaign_index, "FIRST_BITS", (1 << WORD_BITS) - 1)
        yield


@settings(max_examples=WORLDS, deadline=None)
@given(st.randoms(use_true_random=True))
def test_the_index_finds_what_the_plain_rules_let_through(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative], random: Random
) -> None:
    def make(number: int) -> Campaign:
        creatives = (
            make_creative(id=1),
            make_creative(id=2, width=728, height=90),
            make_creative(id=3, kind=CreativeKind.VIDEO, width=728, height=90),
            make_creative(id=4, kind=CreativeKind.NATIVE),
        )
        chosen = tuple(random.sample(creatives, random.randint(0, 3)))
        return make_campaign(number, creatives=chosen, **a_draft(random))

    def check(index: CampaignIndex, campaigns: Mapping[int, Campaign], now: datetime) -> None:
        attributes = a_request(random)
        formats = frozenset(random.sample(FORMATS, random.randint(0, 3)))
        expected = [c.id for c in campaigns.values() if matches(c, attributes, formats, now)]
        assert sorted(found(index, attributes, formats, now)) == sorted(expected)
        found_first = index.matches(attributes, formats, milliseconds(now))
        whole = found_first.rest() if found_first.rest else found_first.first
        assert found_first.first == whole & campaign_index.FIRST_BITS
        those = [c for at in positions(whole) if (c := index.at(at)) and is_near(c, attributes)]
        assert sorted(c.id for c in those) == sorted(expected)

    campaigns = {number: make(number) for number in range(random.randint(0, 120))}
    index = build(*campaigns.values())
    past: list[tuple[CampaignIndex, dict[int, Campaign]]] = []
    now = a_moment(random)
    for _ in range(random.randint(0, 20)):
        past.append((index, campaigns.copy()))
        number = random.randint(0, 130)
        if random.random() < 0.3:
            campaigns.pop(number, None)
            index = index.without_campaign(number)
        else:
            campaigns[number] = make(number)
            index = index.with_campaign(campaigns[number])
        # Mostly a little later, as time goes on; sometimes a clock is set.
        now += timedelta(minutes=random.randint(0, 40))
        now = a_moment(random) if random.random() < 0.1 else now
        check(index, campaigns, now)
    for older, those in random.sample(past, min(len(past), 5)):
        check(older, those, a_moment(random))
    for _ in range(20):
        check(index, campaigns, a_moment(random))
