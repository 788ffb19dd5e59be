"""The bid request: everything of it that a bidder decides on, and nothing else.

Attribute names and meanings are the specification's (https://github.com/InteractiveAdvertisingBureau/openrtb2.x).
Unknown attributes are tolerated, and ``null`` is read as absent. Values of other types than these
are read by ``lenient``, and what becomes of those that cannot be is in ``unreadable``: every
attribute here has its entry there. Prices are Decimals, never floats.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

# JSON has one kind of number: 300.0 is the integer 300.
Number = int | float


class Exact(Decimal):
    """A JSON number as it is written: a price, or a quantity.

    A type of its own because msgspec reads a plain Decimal from a string, too.
    """

    __slots__ = ()


# 0 or 1; written as a boolean as often as not.
Flag = int | bool


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A part of a request or response; no reference cycles, so the collector may skip it."""


class Format(Message, frozen=True):
    """3.2.10: a size a banner may have: exact, or a ratio with a least width (flex)."""

    w: Number | None = None
    h: Number | None = None
    wratio: Number | None = None
    hratio: Number | None = None
    wmin: Number | None = None


class Banner(Message, frozen=True):
    """3.2.6."""

    format: list[Format] | None = None
    w: Number | None = None
    h: Number | None = None
    btype: list[int] | None = None
    battr: list[int] | None = None
    mimes: list[str] | None = None
    expdir: list[int] | None = None
    api: list[int] | None = None


class DurationFloor(Message, frozen=True):
    """3.2.35: the floor for a range of durations in seconds, in the currency of its parent."""

    mindur: Number | None = None
    maxdur: Number | None = None
    bidfloor: Exact | None = None


class Video(Message, frozen=True):
    """3.2.7. Durations in seconds, bit rates in kbps, ``mincpmpersec`` a CPM per second."""

    mimes: list[str] | None = None
    minduration: Number | None = None
    maxduration: Number | None = None
    rqddurs: list[Number] | None = None
    startdelay: Number | None = None
    poddur: Number | None = None
    mincpmpersec: Exact | None = None
    protocols: list[int] | None = None
    protocol: int | None = None
    w: Number | None = None
    h: Number | None = None
    placement: int | None = None
    plcmt: int | None = None
    linearity: int | None = None
    skip: Flag | None = None
    skipmin: Number | None = None
    skipafter: Number | None = None
    battr: list[int] | None = None
    maxextended: Number | None = None
    minbitrate: Number | None = None
    maxbitrate: Number | None = None
    boxingallowed: Flag | None = None
    playbackmethod: list[int] | None = None
    delivery: list[int] | None = None
    api: list[int] | None = None
    durfloors: list[DurationFloor] | None = None


class Audio(Message, frozen=True):
    """3.2.8. Units as for Video."""

    mimes: list[str] | None = None
    minduration: Number | None = None
    maxduration: Number | None = None
    rqddurs: list[Number] | None = None
    startdelay: Number | None = None
    poddur: Number | None = None
    mincpmpersec: Exact | None = None
    protocols: list[int] | None = None
    battr: list[int] | None = None
    maxextended: Number | None = None
    minbitrate: Number | None = None
    maxbitrate: Number | None = None
    delivery: list[int] | None = None
    api: list[int] | None = None
    feed: int | None = None
    durfloors: list[DurationFloor] | None = None


class Native(Message, frozen=True):
    """3.2.9."""

    request: str | None = None
    ver: str | None = None
    api: list[int] | None = None
    battr: list[int] | None = None


class Deal(Message, frozen=True):
    """3.2.12."""

    id: str | None = None
    bidfloor: Exact | None = None
    bidfloorcur: str | None = None
    wseat: list[str] | None = None
    wadomain: list[str] | None = None
    at: int | None = None
    guar: Flag | None = None
    mincpmpersec: Exact | None = None
    durfloors: list[DurationFloor] | None = None


class Pmp(Message, frozen=True):
    """3.2.11."""

    private_auction: Flag | None = None
    deals: list[Deal] | None = None


class Quantity(Message, frozen=True):
    """3.2.31: how many impressions one display of the ad is."""

    multiplier: Exact | None = None


class Imp(Message, frozen=True):
    """3.2.4: one impression offered."""

    id: str
    banner: Banner | None = None
    video: Video | None = None
    audio: Audio | None = None
    native: Native | None = None
    pmp: Pmp | None = None
    bidfloor: Exact | None = None
    bidfloorcur: str | None = None
    secure: Flag | None = None
    qty: Quantity | None = None


class Segment(Message, frozen=True):
    """3.2.22."""

    id: str | None = None


class Data(Message, frozen=True):
    """3.2.21."""

    segment: list[Segment] | None = None


class Content(Message, frozen=True):
    """3.2.16."""

    cat: list[str] | None = None
    language: str | None = None
    langb: str | None = None


class Site(Message, frozen=True):
    """3.2.13."""

    domain: str | None = None
    page: str | None = None
    cat: list[str] | None = None
    sectioncat: list[str] | None = None
    pagecat: list[str] | None = None
    content: Content | None = None


class App(Message, frozen=True):
    """3.2.14."""

    bundle: str | None = None
    cat: list[str] | None = None
    sectioncat: list[str] | None = None
    pagecat: list[str] | None = None
    content: Content | None = None


class Dooh(Message, frozen=True):
    """3.2.32: a screen outdoors. That it is one is all that is decided on."""


class Geo(Message, frozen=True):
    """3.2.19. Latitude and longitude in degrees."""

    lat: float | None = None
    lon: float | None = None
    country: str | None = None
    region: str | None = None
    metro: str | None = None
    city: str | None = None
    zip: str | None = None


class BrandVersion(Message, frozen=True):
    """3.2.30."""

    brand: str | None = None


class UserAgent(Message, frozen=True):
    """3.2.29: structured user agent."""

    browsers: list[BrandVersion] | None = None
    platform: BrandVersion | None = None


class DeviceExt(Message, frozen=True):
    """Where Global Privacy Control is told, and iOS' answer to whether apps may track (ATT)."""

    gpc: Flag | str | None = None
    atts: int | str | None = None


class Device(Message, frozen=True):
    """3.2.18."""

    ua: str | None = None
    sua: UserAgent | None = None
    ip: str | None = None
    geo: Geo | None = None
    devicetype: int | None = None
    connectiontype: int | None = None
    os: str | None = None
    language: str | None = None
    langb: str | None = None
    ifa: str | None = None
    lmt: Flag | None = None
    dnt: Flag | None = None
    ext: DeviceExt | None = None


class UserExt(Message, frozen=True):
    """2.5's place for consent, and for extended ids."""

    consent: str | None = None
    eids: msgspec.Raw = msgspec.Raw(b"")


class User(Message, frozen=True):
    """3.2.20. ``eids`` are as they came: read_eids reads them, where nobody is known by less."""

    id: str | None = None
    buyeruid: str | None = None
    consent: str | None = None
    eids: msgspec.Raw = msgspec.Raw(b"")
    data: list[Data] | None = None
    ext: UserExt | None = None


class RegsExt(Message, frozen=True):
    """2.5's place for regulations, and Global Privacy Control."""

    gdpr: Flag | None = None
    us_privacy: str | None = None
    gpc: Flag | str | None = None
    gpp: str | None = None
    gpp_sid: list[int] | None = None


class Regs(Message, frozen=True):
    """3.2.3."""

    coppa: Flag | None = None
    gdpr: Flag | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: list[int] | None = None
    ext: RegsExt | None = None


class SupplyChainNode(Message, frozen=True):
    """3.2.26: one who has sold the impression on."""

    asi: str | None = None
    sid: str | int | None = None
    hp: Flag | None = None


class SupplyChain(Message, frozen=True):
    """3.2.25."""

    complete: Flag | None = None
    nodes: list[SupplyChainNode] | None = None
    ver: str | Number | None = None


class SourceExt(Message, frozen=True):
    """2.5's place for the supply chain."""

    schain: SupplyChain | None = None


class Source(Message, frozen=True):
    """3.2.2."""

    schain: SupplyChain | None = None
    ext: SourceExt | None = None


class Unread(msgspec.Struct, frozen=True, gc=False):
    """What could not be taken as it was written.

    ``attributes`` are named with what became of each: read, dropped, strict or refused, as in
    ``lenient``. ``imps`` are the ids of impressions that cannot be answered; where the request as a
    whole cannot be, it is ``refused``.
    """

    attributes: tuple[tuple[str, str], ...] = ()
    imps: tuple[str, ...] = ()
    refused: bool = False


class BidRequest(Message, frozen=True):
    """3.2.1. ``unread`` is None unless something could not be taken as it was written."""

    # Of the class, so that no request can bring it, and reading it costs nothing.
    unread: ClassVar[Unread | None] = None

    id: str
    imp: list[Imp]
    site: Site | None = None
    app: App | None = None
    dooh: Dooh | None = None
    device: Device | None = None
    user: User | None = None
    regs: Regs | None = None
    source: Source | None = None
    test: Flag | None = None
    tmax: Number | None = None
    wseat: list[str] | None = None
    bseat: list[str] | None = None
    cur: list[str] | None = None
    wlang: list[str] | None = None
    wlangb: list[str] | None = None
    bcat: list[str] | None = None
    acat: list[str] | None = None
    cattax: int | None = None
    badv: list[str] | None = None
    bapp: list[str] | None = None
    allimps: Flag | None = None


class LenientRequest(BidRequest, frozen=True):
    """A request that had to be read leniently. Attributes and impressions may be missing in it."""

    unread: Unread = Unread()  # type: ignore[misc]
