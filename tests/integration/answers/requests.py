"""Bid requests to be judged by: whole ones of every kind, and ones with something wrong in them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.answers.rule import Json

TMAX_MS = 500

ASSETS = [
    {"id": 1, "required": 1, "title": {"len": 90}},
    {"id": 2, "required": 1, "img": {"type": 3, "wmin": 300, "hmin": 150}},
    {"id": 3, "data": {"type": 1, "len": 25}},
]
NATIVE_REQUESTS = [
    json.dumps({"ver": "1.2", "assets": ASSETS}),
    json.dumps({"native": {"ver": "1.0", "assets": ASSETS[:1]}}),
    json.dumps({"assets": [{"id": 4, "required": 1, "title": {"len": 6}}, *ASSETS[1:]]}),
    json.dumps({"assets": [{"id": 5, "required": 1, "img": {"type": 3, "w": 1200, "h": 627}}]}),
    json.dumps({"assets": [{"id": 6, "required": 1, "data": {"type": 3}}]}),
    "{",
]


def some(*values: Any, most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), max_size=most)


def maybe(
    needed: dict[str, st.SearchStrategy[Any]] | None = None, **parts: st.SearchStrategy[Any]
) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(needed or {}, optional=parts)


# Most values leave something to bid with: what refuses everything shows little.
PRICE = st.sampled_from([0, 0.5, 1, 1, 2.25, 2.25, 4, 8.000001, 1000])
CURRENCY = st.sampled_from(["USD", "USD", "EUR", "EUR", "JPY", "JPY", "eur", "XXX"])
DOMAINS = some("a1.example", "A2.example", "www.a3.example", "example.org", "ple")
SIZE = st.sampled_from(
    [
        {"w": 300, "h": 250},
        {"w": 300, "h": 250},
        {"w": 728, "h": 90},
        {"wratio": 4, "hratio": 1},
        {"wratio": 1, "hratio": 0.25, "wmin": 600},
        {"w": 1, "h": 1},
    ]
)
BANNER = maybe(
    format=st.lists(SIZE, min_size=1, max_size=3),
    w=st.sampled_from([300, 728]),
    h=st.sampled_from([250, 90]),
    battr=some(1, 2, 3, 9),
    btype=some(1, 3, 4, 1, 3, 2),
    mimes=some("image/png", "image/png", "text/html", "image/gif"),
    api=some(5, 7),
)
SLOT: dict[str, st.SearchStrategy[Any]] = {
    "minduration": st.sampled_from([1, 7, 20]),
    "maxduration": st.sampled_from([6, 15, 60]),
    "maxextended": st.sampled_from([0, 10, -1]),
    "protocols": some(2, 3, 5, 7, 9, 12, 13, 14, 15, 16),
    "battr": some(1, 2, 3),
    "api": some(5, 7),
    "mincpmpersec": st.sampled_from([0, 0.1, 0.2, 0.4]),
    "durfloors": st.lists(
        maybe(mindur=st.sampled_from([0, 10]), maxdur=st.sampled_from([10, 20]), bidfloor=PRICE),
        max_size=2,
    ),
    "delivery": some(1, 2, 3),
    "minbitrate": st.sampled_from([0, 500]),
    "maxbitrate": st.sampled_from([0, 900, 1500]),
}
EXACT_SLOT = SLOT | {"rqddurs": some(6, 15, 20)}


def played(*mimes: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Return slots for some of these types: of a range of lengths, of exact ones, or of both."""
    types = {"mimes": st.lists(st.sampled_from(mimes), min_size=1, max_size=3)}
    return maybe(types, **SLOT, **more) | maybe(types, **EXACT_SLOT, **more)


MEDIA = {
    "banner": BANNER,
    "video": played(
        "video/mp4",
        "video/webm",
        "application/x-mpegURL",
        linearity=st.sampled_from([1, 2]),
        skip=st.sampled_from([0, 1]),
        w=st.sampled_from([640, 300]),
        h=st.sampled_from([360, 250]),
        boxingallowed=st.sampled_from([0, 1]),
    ),
    "audio": played("audio/mpeg", "audio/mp3", "audio/ogg", feed=st.sampled_from([1, 3])),
    "native": maybe({"request": st.sampled_from(NATIVE_REQUESTS)}, battr=some(1, 2, 3)),
}
DEAL = maybe(
    {"id": st.sampled_from(["deal-1", "deal-1", "deal-2", "deal-9"])},
    bidfloor=PRICE,
    bidfloorcur=CURRENCY,
    at=st.sampled_from([1, 2, 3]),
    wseat=some("seat1", "seat2", most=2),
    wadomain=some("www.a1.example", "www.a2.example", "WWW.a3.example"),
    guar=st.sampled_from([0, 1]),
)
PMP = maybe(private_auction=st.sampled_from([0, 1]), deals=st.lists(DEAL, min_size=1, max_size=3))
IMP = st.sampled_from(sorted(MEDIA)).flatmap(
    lambda kind: maybe(
        {kind: MEDIA[kind]},
        bidfloor=PRICE,
        bidfloorcur=CURRENCY,
        secure=st.sampled_from([0, 1]),
        pmp=PMP,
        **{other: offer for other, offer in MEDIA.items() if other != kind},
    )
)
REQUEST = maybe(
    cur=some("USD", "USD", "EUR", most=2),
    badv=DOMAINS,
    bapp=some("com.shoes", most=1),
    bcat=some("IAB1", "IAB2-1", most=2),
    acat=st.lists(st.sampled_from(["IAB0-1", "IAB1-1", "IAB2-1", "IAB3-1"]), max_size=4),
    cattax=st.sampled_from([1, 1, 2]),
    wlang=some("en", "de", most=2),
    wlangb=some("en-GB", "de", most=2),
    wseat=st.sampled_from([[], ["seat1"], ["seat1"], ["seat1", "seat2"], ["seat2"]]),
    bseat=st.sampled_from([[], [], ["seat2"], ["seat2"], ["seat1"]]),
    test=st.sampled_from([0, 1]),
)


def _whole(parts: Json, imps: list[Json]) -> Json:
    numbered = [{**imp, "id": str(number)} for number, imp in enumerate(imps, 1)]
    place = {"site": {"domain": "news.example"}, "user": {"id": "somebody"}}
    return copy.deepcopy({"id": "r", "tmax": TMAX_MS, **place, **parts, "imp": numbered})


WHOLE = st.builds(_whole, REQUEST, st.lists(IMP, min_size=1, max_size=3))
"""Requests that are right, whatever they ask for."""

_JUNK = [
    *(None, True, 0, -1, 1, 0.5, 1e308, 10**20, "", "x", "USD", "9.99", "\x00", "😀"),
    *([], {}, [None], [[]], {"a": 1}, ["x"], [1], "9" * 5000),
]
_CHANGES = st.tuples(
    st.integers(0, 10_000), st.sampled_from(["leave out", "twice", "unknown", *_JUNK])
)


def _changed(request: Json, changes: list[tuple[int, Any]]) -> Json:
    for number, change in changes:
        places = list(_places(request))
        holder, key = places[number % len(places)]
        if change == "leave out":
            del holder[key]
        elif change == "twice" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif change == "unknown" and isinstance(holder, dict):
            holder["never_heard_of"] = copy.deepcopy(holder[key])
        else:
            holder[key] = copy.deepcopy(change)
        if not request:
            break
    return request


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where every value in a document is: what holds it, and its key or number there."""
    inside = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(inside):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


MUTATED = st.builds(_changed, WHOLE, st.lists(_CHANGES, min_size=1, max_size=2))
"""Requests with something left out, doubled, unknown or of the wrong kind, anywhere in them."""
