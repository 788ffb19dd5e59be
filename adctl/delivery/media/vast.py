"""VAST documents: how a player is told what to play, and whom to tell about it.

VAST 2.0 to 4.3 (https://iabtechlab.com/standards/vast/). The versions want the same elements in
different orders, which is most of what differs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from lxml import etree

from adctl.delivery.tracking_urls import TrackingUrls
from adctl.models import Creative, MediaFile

# AdCOM list "Creative Subtypes - Audio/Video", newest version first.
INLINE_PROTOCOLS = {15: (4, 3), 13: (4, 2), 11: (4, 1), 7: (4, 0), 3: (3, 0), 2: (2, 0)}
WRAPPER_PROTOCOLS = {16: (4, 3), 14: (4, 2), 12: (4, 1), 8: (4, 0), 6: (3, 0), 5: (2, 0)}
_SYSTEM = "adctl"


class Spot(msgspec.Struct, frozen=True):
    """One ad to be told of: what, for how long, in which VAST, and with whose tracking.

    ``files`` are the renditions with the name each type goes by; without any, ``tag_url`` is where
    the ad is. ``bid_id`` names this serving of it. ``error_url`` may be empty.
    """

    creative: Creative
    kind: Literal["video", "audio"]
    protocol: int
    duration_sec: int
    urls: TrackingUrls
    bid_id: str
    files: Sequence[tuple[MediaFile, str]] = ()
    tag_url: str = ""
    skip_after_sec: int | None = None
    error_url: str = ""


def vast_document(spot: Spot) -> str:
    """Return the document of one ad: inline if it has files, else a wrapper around its tag.

    Well-formed whatever the addresses hold; ``${AUCTION_PRICE}`` is left for the exchange. It names
    no namespace, which players do not look at: that of VAST 4 begins with "http://", and exchanges
    that look for insecure addresses take it for one.
    """
    versions = WRAPPER_PROTOCOLS if spot.tag_url else INLINE_PROTOCOLS
    version = versions[spot.protocol]
    root = etree.Element("VAST", {"version": f"{version[0]}.{version[1]}"})
    ad = etree.SubElement(root, "Ad", {"id": str(spot.creative.id)})
    if spot.kind == "audio" and version >= (4, 1):
        ad.set("adType", "audio")
    if spot.tag_url:
        _fill_wrapper(etree.SubElement(ad, "Wrapper"), spot, version)
    else:
        _fill_inline(etree.SubElement(ad, "InLine"), spot, version)
    return etree.tostring(root, encoding="unicode")


def _fill_inline(inline: etree._Element, spot: Spot, version: tuple[int, int]) -> None:
    _text(inline, "AdSystem", _SYSTEM)
    if version >= (4, 0):
        _tracking(inline, spot)
        if version >= (4, 1):
            _text(inline, "AdServingId", spot.bid_id)
        _text(inline, "AdTitle", spot.creative.name)
        if spot.creative.adomain:
            _text(inline, "Advertiser", spot.creative.adomain[0])
    else:
        _text(inline, "AdTitle", spot.creative.name)
        _tracking(inline, spot)
    creative = _creative(inline, spot)
    if version >= (4, 0):
        # Registered with nobody: the id is ours.
        universal = _text(creative, "UniversalAdId", str(spot.creative.id))
        universal.set("idRegistry", "unknown")
        if version == (4, 0):
            universal.set("idValue", str(spot.creative.id))
    linear = etree.SubElement(creative, "Linear")
    # VAST 2.0 knows no skipping.
    if spot.skip_after_sec is not None and version >= (3, 0):
        linear.set("skipoffset", _clock(spot.skip_after_sec))
    _text(linear, "Duration", _clock(spot.duration_sec))
    if version >= (4, 0):
        _media_files(linear, spot)
        _clicks(linear, "ClickThrough", spot)
    else:
        _clicks(linear, "ClickThrough", spot)
        _media_files(linear, spot)


def _fill_wrapper(wrapper: etree._Element, spot: Spot, version: tuple[int, int]) -> None:
    _text(wrapper, "AdSystem", _SYSTEM)
    if version < (4, 0):
        _address(wrapper, "VASTAdTagURI", spot.tag_url)
    _tracking(wrapper, spot)
    linear = etree.SubElement(_creative(wrapper, spot), "Linear")
    # The ad behind the tag has its own landing page; the click is only counted.
    _clicks(linear, "ClickTracking", spot)
    if version >= (4, 0):
        _address(wrapper, "VASTAdTagURI", spot.tag_url)


def _tracking(parent: etree._Element, spot: Spot) -> None:
    if spot.error_url:
        _address(parent, "Error", spot.error_url)
    _address(parent, "Impression", spot.urls.impression)


def _creative(parent: etree._Element, spot: Spot) -> etree._Element:
    creatives = etree.SubElement(parent, "Creatives")
    return etree.SubElement(creatives, "Creative", {"id": str(spot.creative.id)})


def _clicks(linear: etree._Element, name: str, spot: Spot) -> None:
    _address(etree.SubElement(linear, "VideoClicks"), name, spot.urls.click)


def _media_files(linear: etree._Element, spot: Spot) -> None:
    parent = etree.SubElement(linear, "MediaFiles")
    for file, mime in spot.files:
        element = _address(parent, "MediaFile", file.url)
        element.set("delivery", file.delivery)
        element.set("type", mime)
        element.set("width", str(file.width))
        element.set("height", str(file.height))
        if file.bitrate_kbps:
            element.set("bitrate", str(file.bitrate_kbps))
        if spot.kind == "video":
            element.set("scalable", "true")
            element.set("maintainAspectRatio", "true")


def _text(parent: etree._Element, name: str, text: str) -> etree._Element:
    element = etree.SubElement(parent, name)
    element.text = text
    return element


def _address(parent: etree._Element, name: str, url: str) -> etree._Element:
    element = etree.SubElement(parent, name)
    # Exchanges fill macros in without regard for syntax: in CDATA, "&" stays what it is.
    element.text = etree.CDATA(url.replace("]]>", "%5D%5D%3E"))
    return element


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
