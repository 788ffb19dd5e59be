"""Events as trackers made them that read a token's place from the bytes of its currency."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from adctl.delivery.place import Place
    from adctl.models import Event

_CURRENCY = struct.Struct(">3s32p")
_PLACE = struct.Struct(">I3sBB")


def misread(
    event: Event, code: str, rate: str, advertiser_id: int, place: Place, after: bytes = b""
) -> Event:
    """Return ``event`` with what was read for its place; ``after`` is the rest of its token."""
    site = place.site.encode()
    token = (
        _CURRENCY.pack(code.encode(), rate.encode())
        + _PLACE.pack(
            advertiser_id, place.country.encode() or bytes(3), int(place.device or 0), len(site)
        )
        + site
        + after
    )
    read, country, device, length = _PLACE.unpack_from(token)
    return msgspec.structs.replace(
        event,
        advertiser_id=read,
        country=country.decode(),
        device=str(device or ""),
        site=token[_PLACE.size : _PLACE.size + length].decode(),
    )
