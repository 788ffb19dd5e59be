"""The rules of answers that are about one medium: sizes, VAST documents, native assets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

from tests.integration.answers.rule import Json, Placed, listed, number, rule, table

if TYPE_CHECKING:
    from collections.abc import Iterator

# AdCOM, Creative Subtypes - Audio/Video: the version each number stands for.
INLINE = {2: "2.0", 3: "3.0", 7: "4.0", 11: "4.1", 13: "4.2", 15: "4.3"}
WRAPPER = {5: "2.0", 6: "3.0", 8: "4.0", 12: "4.1", 14: "4.2", 16: "4.3"}
# AdCOM, Delivery Methods.
_DELIVERY = {"streaming": {1}, "progressive": {2, 3}}


# --- banners ---


@rule("the size is one that is offered", "banner")
def _(placed: Placed) -> bool:
    formats = [table(one) for one in listed(placed.slot.get("format"))]
    bid = placed.bid
    exact = [(one.get("w"), one.get("h")) for one in formats or [placed.slot]]
    return (bid["w"], bid["h"]) in exact or any(_in_ratio(bid, one) for one in formats)


def _in_ratio(bid: Json, offered: Json) -> bool:
    across, down = number(offered.get("wratio")), number(offered.get("hratio"))
    if not across or not down or (bid.get("wratio"), bid.get("hratio")) != (across, down):
        return False
    wide_enough = bid["w"] >= (number(offered.get("wmin")) or 0)
    return wide_enough and bool(bid["w"] * down == bid["h"] * across)


@rule("the type of banner is not blocked", "banner")
def _(placed: Placed) -> bool:
    # AdCOM, Display Ad Types: 1 is text; the bidder's images are 2.
    return 2 not in listed(placed.slot.get("btype"))


# --- video and audio ---


class Vast(NamedTuple):
    """What a document says. ``seconds`` is None where it does not."""

    version: str
    wrapped: bool
    files: list[dict[str, str]]
    seconds: int | None
    impressions: list[str]
    tag: str


def vast_of(placed: Placed) -> Vast | None:
    """Return what the markup says as VAST; None if it is not one ad that can be understood."""
    try:
        root = ET.fromstring(placed.bid["adm"])
    except ET.ParseError:
        return None
    ads = [*root.findall("Ad/InLine"), *root.findall("Ad/Wrapper")]
    if root.tag != "VAST" or len(ads) != 1:
        return None
    (ad,) = ads
    duration = ad.findtext("Creatives/Creative/Linear/Duration")
    return Vast(
        version=root.get("version", ""),
        wrapped=ad.tag == "Wrapper",
        files=[file.attrib for file in ad.iter("MediaFile")],
        seconds=_seconds(duration) if duration else None,
        impressions=[one.text or "" for one in ad.findall("Impression")],
        tag=ad.findtext("VASTAdTagURI") or "",
    )


def _seconds(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(float(seconds))


@rule("the markup is VAST of the protocol it says", "video", "audio")
def _(placed: Placed) -> bool:
    vast, protocol = vast_of(placed), placed.bid.get("protocol")
    if vast is None:
        return False
    return (WRAPPER if vast.wrapped else INLINE).get(protocol or 0) == vast.version


@rule("the protocol is one that is supported", "video", "audio")
def _(placed: Placed) -> bool:
    supported = listed(placed.slot.get("protocols"))
    return not supported or placed.bid["protocol"] in supported


@rule("the ad is there: files, or a tag", "video", "audio")
def _(placed: Placed) -> bool:
    vast = vast_of(placed)
    return vast is not None and bool(vast.tag if vast.wrapped else vast.files)


@rule("every file is of a type that is supported", "video", "audio")
def _(placed: Placed) -> bool:
    vast = vast_of(placed)
    supported = {str(mime) for mime in listed(placed.slot.get("mimes"))}
    # Without a file, it is what is behind the tag that must play.
    return vast is not None and {file["type"] for file in vast.files} <= supported


@rule("every file is delivered as is supported", "video", "audio")
def _(placed: Placed) -> bool:
    vast, supported = vast_of(placed), set(listed(placed.slot.get("delivery")))
    files = vast.files if vast else []
    return not supported or all(_DELIVERY[file["delivery"]] & supported for file in files)


@rule("every file has a bit rate that is supported", "video", "audio")
def _(placed: Placed) -> bool:
    vast = vast_of(placed)
    least, most = (number(placed.slot.get(name)) for name in ("minbitrate", "maxbitrate"))
    rates = [int(file["bitrate"]) for file in (vast.files if vast else []) if "bitrate" in file]
    return all((not least or rate >= least) and (not most or rate <= most) for rate in rates)


@rule("the length is told, in the document as in the bid", "video", "audio")
def _(placed: Placed) -> bool:
    vast, told = vast_of(placed), placed.bid.get("dur")
    return vast is not None and bool(told) and (vast.wrapped or vast.seconds == told)


@rule("the length is one of those that are required", "video", "audio")
def _(placed: Placed) -> bool:
    required = listed(placed.slot.get("rqddurs"))
    return not required or placed.bid["dur"] in required


@rule("the length is within the range", "video", "audio")
def _(placed: Placed) -> bool:
    names = ("minduration", "maxduration", "maxextended")
    least, most, more = (number(placed.slot.get(name)) for name in names)
    if least is not None and placed.bid["dur"] < least:
        return False
    # 3.2.7: an extension of -1 has no limit.
    return most is None or (more or 0) < 0 or placed.bid["dur"] <= most + (more or 0)


@rule("a linear ad is not sent where none is taken", "video")
def _(placed: Placed) -> bool:
    return placed.slot.get("linearity") in (None, 0, 1)


@rule("an ad that can be skipped says so where it is allowed", "video")
def _(placed: Placed) -> bool:
    skippable = "skipoffset" in placed.bid["adm"]
    return skippable == (16 in placed.bid.get("attr", ())) and not (
        skippable and placed.slot.get("skip") == 0
    )


# --- native ---


def native_of(placed: Placed) -> tuple[Json, Json] | None:
    """Return what is asked for and what is answered; None unless both are wrapped alike."""
    try:
        asked, told = json.loads(placed.slot["request"]), json.loads(placed.bid["adm"])
    except ValueError:
        return None
    if ("native" in asked) != ("native" in told):
        return None
    return asked.get("native") or asked, told.get("native") or told


def answers(placed: Placed) -> Iterator[tuple[Json, Json]]:
    """Yield each asset that is answered with its answer."""
    asked, told = native_of(placed) or ({}, {})
    assets = {asset["id"]: asset for asset in asked.get("assets", ())}
    for answer in told.get("assets", ()):
        yield assets.get(answer["id"], {}), answer


@rule("the answer is native, wrapped as the request is", "native")
def _(placed: Placed) -> bool:
    return native_of(placed) is not None


@rule("every required asset is answered", "native")
def _(placed: Placed) -> bool:
    asked, told = native_of(placed) or ({}, {})
    needed = {asset["id"] for asset in asked.get("assets", ()) if asset.get("required") == 1}
    return needed <= {answer["id"] for answer in told.get("assets", ())}


@rule("only assets that are asked for are answered, once, as what they are", "native")
def _(placed: Placed) -> bool:
    pairs = list(answers(placed))
    ids = [answer["id"] for _, answer in pairs]
    return len(set(ids)) == len(ids) and all(
        any(kind in asset and kind in answer for kind in ("title", "img", "data"))
        for asset, answer in pairs
    )


@rule("no text is longer than asked for", "native")
def _(placed: Placed) -> bool:
    return all(
        len(answer[kind][name]) <= (asset[kind].get("len") or 10_000)
        for asset, answer in answers(placed)
        for kind, name in (("title", "text"), ("data", "value"))
        if kind in answer and kind in asset
    )


@rule("every image has the size that is asked for", "native")
def _(placed: Placed) -> bool:
    return all(
        _side_fits(answer["img"]["w"], asset["img"], "w")
        and _side_fits(answer["img"]["h"], asset["img"], "h")
        for asset, answer in answers(placed)
        if "img" in answer and "img" in asset
    )


def _side_fits(side: int, asked: Json, name: str) -> bool:
    least: Any = asked.get(f"{name}min")
    if least is not None:
        return bool(side >= least)
    return not asked.get(name) or side == asked[name]


@rule("a click leads somewhere", "native")
def _(placed: Placed) -> bool:
    _, told = native_of(placed) or ({}, {})
    return bool(table(told.get("link")).get("url"))
