"""OpenRTB 2.6 messages: what a bidder decides on, and what it answers.

Attribute names and meanings are the specification's (https://github.com/InteractiveAdvertisingBureau/openrtb2.x).
Unknown attributes are tolerated, an attribute of the wrong type is not: guessing what a blocked
list given as a string means would let blocked bids through. ``null`` is read as absent. Prices are
Decimals, never floats.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A part of a request or response; no reference cycles, so the collector may skip it."""


class Format(Message, frozen=True):
    """3.2.10: one size a banner may have."""

    w: int | None = None
    h: int | None = None


class Banner(Message, frozen=True):
    """3.2.6."""

    format: list[Format] | None = None
    w: int | None = None
    h: int | None = None
    btype: list[int] | None = None
    battr: list[int] | None = None
    mimes: list[str] | None = None
    api: list[int] | None = None


class Video(Message, frozen=True):
    """3.2.7."""

    mimes: list[str] | None = None


class Audio(Message, frozen=True):
    """3.2.8."""

    mimes: list[str] | None = None


class Native(Message, frozen=True):
    """3.2.9."""

    request: str | None = None
    ver: str | None = None


class Deal(Message, frozen=True):
    """3.2.12."""

    id: str | None = None
    bidfloor: Decimal | None = None
    bidfloorcur: str | None = None
    wseat: list[str] | None = None
    wadomain: list[str] | None = None
    at: int | None = None


class Pmp(Message, frozen=True):
    """3.2.11."""

    private_auction: int | None = None
    deals: list[Deal] | None = None


class Imp(Message, frozen=True):
    """3.2.4: one impression offered."""

    id: str
    banner: Banner | None = None
    video: Video | None = None
    audio: Audio | None = None
    native: Native | None = None
    pmp: Pmp | None = None
    bidfloor: Decimal | None = None
    bidfloorcur: str | None = None
    secure: int | None = None
    tagid: str | None = None
    instl: int | None = None


class Segment(Message, frozen=True):
    """3.2.22."""

    id: str | None = None
    name: str | None = None
    value: str | None = None


class Data(Message, frozen=True):
    """3.2.21."""

    id: str | None = None
    name: str | None = None
    segment: list[Segment] | None = None


class Publisher(Message, frozen=True):
    """3.2.15."""

    id: str | None = None
    domain: str | None = None


class Content(Message, frozen=True):
    """3.2.16."""

    cat: list[str] | None = None
    cattax: int | None = None
    language: str | None = None


class Site(Message, frozen=True):
    """3.2.13."""

    id: str | None = None
    domain: str | None = None
    page: str | None = None
    cat: list[str] | None = None
    sectioncat: list[str] | None = None
    pagecat: list[str] | None = None
    cattax: int | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class App(Message, frozen=True):
    """3.2.14."""

    id: str | None = None
    bundle: str | None = None
    domain: str | None = None
    cat: list[str] | None = None
    sectioncat: list[str] | None = None
    pagecat: list[str] | None = None
    cattax: int | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class Dooh(Message, frozen=True):
    """3.2.32."""

    id: str | None = None
    domain: str | None = None
    publisher: Publisher | None = None
    content: Content | None = None


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
    version: list[str] | None = None


class UserAgent(Message, frozen=True):
    """3.2.29: structured user agent."""

    browsers: list[BrandVersion] | None = None
    platform: BrandVersion | None = None
    mobile: int | None = None


class DeviceExt(Message, frozen=True):
    """Where Global Privacy Control is told."""

    gpc: int | str | None = None


class Device(Message, frozen=True):
    """3.2.18."""

    ua: str | None = None
    sua: UserAgent | None = None
    ip: str | None = None
    ipv6: str | None = None
    geo: Geo | None = None
    devicetype: int | None = None
    connectiontype: int | None = None
    os: str | None = None
    language: str | None = None
    langb: str | None = None
    ifa: str | None = None
    lmt: int | None = None
    dnt: int | None = None


class UserExt(Message, frozen=True):
    """2.5's place for consent."""

    consent: str | None = None


class User(Message, frozen=True):
    """3.2.20."""

    id: str | None = None
    buyeruid: str | None = None
    consent: str | None = None
    geo: Geo | None = None
    data: list[Data] | None = None
    ext: UserExt | None = None


class RegsExt(Message, frozen=True):
    """2.5's place for regulations, and Global Privacy Control."""

    gdpr: int | None = None
    us_privacy: str | None = None
    gpc: int | str | None = None


class Regs(Message, frozen=True):
    """3.2.3."""

    coppa: int | None = None
    gdpr: int | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: list[int] | None = None
    ext: RegsExt | None = None


class BidRequest(Message, frozen=True):
    """3.2.1."""

    id: str
    imp: list[Imp]
    site: Site | None = None
    app: App | None = None
    dooh: Dooh | None = None
    device: Device | None = None
    user: User | None = None
    regs: Regs | None = None
    test: int | None = None
    at: int | None = None
    tmax: float | None = None
    wseat: list[str] | None = None
    bseat: list[str] | None = None
    cur: list[str] | None = None
    wlang: list[str] | None = None
    bcat: list[str] | None = None
    acat: list[str] | None = None
    cattax: int | None = None
    badv: list[str] | None = None
    bapp: list[str] | None = None


class Bid(Message, frozen=True):
    """4.2.3. ``price`` is the CPM as JSON text, exact to the micro."""

    id: str
    impid: str
    price: msgspec.Raw
    adm: str
    nurl: str
    burl: str
    lurl: str
    adomain: tuple[str, ...]
    cid: str
    crid: str
    w: int
    h: int
    mtype: int
    exp: int
    cat: tuple[str, ...] = ()
    cattax: int | None = None
    attr: tuple[int, ...] = ()
    language: str | None = None


class SeatBid(Message, frozen=True):
    """4.2.2."""

    bid: list[Bid]
    seat: str


class BidResponse(Message, frozen=True):
    """4.2.1."""

    id: str
    seatbid: list[SeatBid]
    bidid: str
    cur: str


class MalformedRequestError(ValueError):
    """A body that is not a bid request: HTTP 400."""


_decoder = msgspec.json.Decoder(BidRequest)


def decode_request(body: bytes) -> BidRequest:
    """Return the bid request in ``body``. Raises MalformedRequestError, whatever the bytes.

    Beyond types: ``id`` and every ``imp.id`` are non-empty, imp ids unique, and at most one of
    site, app and dooh is there [3.2.1, 3.2.4, 3.2.13].
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError) as exc:
        raise MalformedRequestError(str(exc)[:200]) from exc
    if not request.id or not request.imp:
        raise MalformedRequestError("id and imp must not be empty")
    ids = {imp.id for imp in request.imp}
    if "" in ids or len(ids) != len(request.imp):
        raise MalformedRequestError("every imp needs an id of its own")
    if sum(part is not None for part in (request.site, request.app, request.dooh)) > 1:
        raise MalformedRequestError("at most one of site, app and dooh")
    return request


_encoder = msgspec.json.Encoder()


def encode_response(response: BidResponse) -> bytes:
    """Return the JSON of a bid response. Strings of the request are echoed exactly."""
    return _encoder.encode(response)
