"""Events of bids in a foreign currency, from when the tracker misread where their ads were.

The first trackers read the place in a token (whose ad it was, and where) from the bytes of the
currency before it: three letters, then the rate's text behind its length, in 32 bytes. So an event
has for its advertiser the letters and the length, for its country the rate's first three
characters, for its device the fourth, and for its site as many bytes as the fifth is worth: the
rest of the rate, the zeros it is filled up with, then the true place, as far as that goes. Rates
of up to four characters leave a site of no bytes.

Nothing else looks so: such advertisers would be numbered from 1,094,795,521 on.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.conversion import order_digest
from adctl.delivery.place import NOWHERE, Place
from adctl.models import EventKind

if TYPE_CHECKING:
    from adctl.models import Event

_CODE = re.compile(rb"[A-Z]{3}")
_RATE = re.compile(rb"[0-9]{1,12}(\.[0-9]{1,18})?")
# What a rate is written with, of which one character was taken for the length of the site.
_DIGITS = b"0123456789."
_RATE_BYTES = 31
_BEFORE_SITE = 5  # of the rate: country, device and the length of the site
_PLACE = struct.Struct(">I3sBB")
_NO_COUNTRY = bytes(3)

LEAST_READ_AS = int.from_bytes(b"AAA\1")
"""No advertiser that was misread has a lower number."""


def true_place(read_as: int, place: Place, advertiser_id: int) -> Place | None:
    """Return what is left of a place that was misread; None for one that was not.

    ``read_as`` is whose it was read to be, ``advertiser_id`` whose it must be. Of site, country and
    device what the bytes still hold is kept; a site of which only a part was left is left out,
    since it would be another site.
    """
    if read_as == advertiser_id or not _is_misread(read_as, place):
        return None
    left = place.site.encode()[_RATE_BYTES - _BEFORE_SITE :]
    if left[:4] != advertiser_id.to_bytes(4, "big")[: len(left)]:
        return None
    if len(left) < _PLACE.size:
        return NOWHERE
    _, country, device, length = _PLACE.unpack_from(left)
    site = left[_PLACE.size : _PLACE.size + length]
    return Place(
        site=site.decode("utf-8", "replace") if len(site) == length else "",
        country="" if country == _NO_COUNTRY else country.decode("ascii", "replace"),
        device=str(device or ""),
    )


def read_again(event: Event, advertiser_id: int) -> Event:
    """Return a misread event with the place it had; any other as it is.

    ``advertiser_id`` is its campaign's.
    """
    read = Place(event.site, event.country, event.device)
    place = true_place(event.advertiser_id, read, advertiser_id)
    if place is None:
        return event
    return msgspec.structs.replace(
        event,
        event_id=_event_id(event, advertiser_id),
        advertiser_id=advertiser_id,
        site=place.site,
        country=place.country,
        device=place.device,
    )


def _is_misread(read_as: int, place: Place) -> bool:
    """Return whether there is a currency with a rate that the place can have been read from."""
    if not 0 < read_as < 2**32:
        return False
    *_, length = whose = read_as.to_bytes(4, "big")
    if not _CODE.fullmatch(whose[:3]) or not 1 <= length <= _RATE_BYTES:
        return False
    try:
        country, site = place.country.encode(), place.site.encode()
        device = int(place.device or 0).to_bytes(1, "big")
    except (UnicodeEncodeError, ValueError, OverflowError):
        return False
    if len(country) != len(_NO_COUNTRY):
        return False
    # The site's length: nothing, where the rate had ended, else a character of it.
    lengths = [one for one in _DIGITS if one >= len(site)] if length >= _BEFORE_SITE else [0]
    rest = site[: _RATE_BYTES - _BEFORE_SITE]
    if length < _BEFORE_SITE and not site:
        rest = bytes(_RATE_BYTES - _BEFORE_SITE)
    for one in lengths:
        filled = country + device + bytes((one,)) + rest
        fits = len(filled) == _RATE_BYTES and not any(filled[length:])
        if fits and _RATE.fullmatch(filled[:length]):
            return True
    return False


def _event_id(event: Event, advertiser_id: int) -> str:
    """Return the id of an event, which that of an order has from its advertiser."""
    if event.kind is not EventKind.CONVERSION or not event.order_id:
        return event.event_id
    return f"{event.bid_id}:{event.kind}:{order_digest(advertiser_id, event.order_id)}"
