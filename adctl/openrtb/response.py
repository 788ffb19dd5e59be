"""The bid response: what an exchange gets back."""

from __future__ import annotations

import msgspec

from adctl.openrtb.request import Message


class Bid(Message, frozen=True, kw_only=True):
    """4.2.3. ``price`` is the CPM as JSON text, exact to the micro; ``dur`` is in seconds."""

    id: str
    impid: str
    price: msgspec.Raw
    adm: str
    nurl: str = ""
    burl: str = ""
    lurl: str = ""
    adomain: tuple[str, ...]
    cid: str
    crid: str
    w: int | None = None
    h: int | None = None
    mtype: int
    dealid: str | None = None
    exp: int
    cat: tuple[str, ...] = ()
    cattax: int | None = None
    attr: tuple[int, ...] = ()
    bundle: str | None = None
    language: str | None = None
    wratio: int | float | None = None
    hratio: int | float | None = None
    dur: int | None = None
    protocol: int | None = None
    apis: tuple[int, ...] = ()


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


class NoBidResponse(Message, frozen=True):
    """4.2.1 without a bid: ``nbr`` says why."""

    id: str
    seatbid: list[SeatBid]
    nbr: int


_encoder = msgspec.json.Encoder()


def encode_response(response: BidResponse | NoBidResponse) -> bytes:
    """Return the JSON of a bid response. Strings of the request are echoed exactly."""
    return _encoder.encode(response)
