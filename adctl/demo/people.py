"""Who visits, with which device and from where, and the sites and apps they use. All made up."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random

# Addresses reserved for documentation (RFC 5737): nobody's.
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")


class Place(NamedTuple):
    """Where people live. Countries are ISO 3166-1 alpha-3, regions ISO 3166-2 without it."""

    country: str
    region: str
    city: str
    zip: str
    lat: float
    lon: float
    utc_offset_min: int
    language: str


class Gadget(NamedTuple):
    """What people hold; ``devicetype`` and ``connectiontype`` are AdCOM's numbers."""

    devicetype: int
    os: str
    osv: str
    make: str
    model: str
    ua: str
    connectiontype: int


class Person(NamedTuple):
    """One user, the same for every request of a run."""

    id: str
    place: Place
    gadget: Gadget
    ip: str
    ifa: str
    segments: tuple[str, ...]
    privacy: str  # "", "gdpr", "opted_out" (of sale, US) or "limited" (ad tracking)


class Property(NamedTuple):
    """A site or an app. ``name`` is its domain or bundle, ``cat`` its IAB categories."""

    kind: str  # "site" or "app"
    name: str
    title: str
    publisher: str
    cat: tuple[str, ...]


PLACES = (
    Place("USA", "CA", "Oakland", "94607", 37.80, -122.27, -480, "en"),
    Place("USA", "NY", "Brooklyn", "11201", 40.69, -73.99, -300, "en"),
    Place("USA", "TX", "Austin", "78701", 30.27, -97.74, -360, "en"),
    Place("GBR", "ENG", "Leeds", "LS1", 53.80, -1.55, 0, "en"),
    Place("DEU", "BE", "Berlin", "10115", 52.53, 13.38, 60, "de"),
    Place("FRA", "IDF", "Paris", "75011", 48.86, 2.38, 60, "fr"),
    Place("CAN", "ON", "Toronto", "M5V", 43.64, -79.39, -300, "en"),
)

GADGETS = (
    Gadget(
        4,
        "iOS",
        "17.4",
        "Apple",
        "iPhone15,2",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
        2,
    ),
    Gadget(
        4,
        "Android",
        "14",
        "Google",
        "Pixel 8",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/124.0.0.0 Mobile Safari/537.36",
        6,
    ),
    Gadget(
        5,
        "iPadOS",
        "17.4",
        "Apple",
        "iPad13,18",
        "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.4 Mobile/15E148 Safari/604.1",
        2,
    ),
    Gadget(
        2,
        "Windows",
        "10",
        "",
        "",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/124.0.0.0 Safari/537.36",
        1,
    ),
    Gadget(
        2,
        "macOS",
        "14.4",
        "Apple",
        "",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:125.0) Gecko/20100101 Firefox/125.0",
        2,
    ),
)

SITES = (
    Property("site", "morningledger.example", "The Morning Ledger", "pub-11", ("IAB12", "IAB3")),
    Property("site", "trailrunning.example", "Trail Running", "pub-12", ("IAB17-34", "IAB17")),
    Property("site", "weeknightkitchen.example", "Weeknight Kitchen", "pub-13", ("IAB8",)),
    Property("site", "oldcityguide.example", "Old City Guide", "pub-14", ("IAB20",)),
    Property("site", "gearbench.example", "Gear Bench", "pub-15", ("IAB19",)),
)

APPS = (
    Property("app", "com.example.skies", "Skies Weather", "pub-21", ("IAB15-10",)),
    Property("app", "com.example.tiles", "Tile Garden", "pub-22", ("IAB9-30",)),
    Property("app", "com.example.scores", "Live Scores", "pub-23", ("IAB17",)),
)

_SEGMENTS = ("runners", "cooks", "travellers", "gamers", "new_parents")


def make_people(count: int, rng: random.Random) -> tuple[Person, ...]:
    """Return ``count`` people; the same for the same state of ``rng``."""
    return tuple(_make_person(number, rng) for number in range(count))


def _make_person(number: int, rng: random.Random) -> Person:
    place = rng.choice(PLACES)
    return Person(
        id=f"visitor-{number:05d}",
        place=place,
        gadget=rng.choice(GADGETS),
        ip=f"{rng.choice(_NETWORKS)}.{rng.randrange(1, 255)}",
        ifa=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        segments=tuple(rng.sample(_SEGMENTS, rng.randrange(3))),
        privacy=_privacy(place, rng),
    )


def _privacy(place: Place, rng: random.Random) -> str:
    if place.country in ("DEU", "FRA", "GBR"):
        return "gdpr" if rng.random() < 0.3 else ""
    chance = rng.random()
    if chance < 0.05:
        return "opted_out"
    return "limited" if chance < 0.1 else ""
