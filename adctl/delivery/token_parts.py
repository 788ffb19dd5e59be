"""The parts of a token that are left out where they say nothing.

Each part packs and unpacks itself, and ``PARTS`` lists them in the order in which they are written.
Reading goes through the same list, so it cannot come apart from writing. A new part goes to the
end of the list, with the next flag: tokens of the version before stay valid, and a program of the
version before leaves the new part out.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from adctl.delivery.currency import BidCurrency
from adctl.delivery.place import Place
from adctl.money import ONE_IMPRESSION_PPM

if TYPE_CHECKING:
    from adctl.delivery.tokens import BidToken

_QUANTITY = struct.Struct(">I")
_CURRENCY = struct.Struct(">3s32p")  # a rate has up to 31 characters
_PLACE = struct.Struct(">I3sBB")
_UNKNOWN_COUNTRY = bytes(3)
_CLICKED_AT = struct.Struct(">Q")


class Part(Protocol):
    """An optional part of a token."""

    def pack(self, token: BidToken) -> bytes | None:
        """Return the part's bytes, None where the token says nothing of it."""

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        """Put what stands at ``at`` into ``fields``, named as BidToken's; return where it ends.

        Raises struct.error, ValueError or ArithmeticError where that cannot be read.
        """


class _Test:
    """Whether the bid was a test: the flag says it all."""

    def pack(self, token: BidToken) -> bytes | None:
        return b"" if token.test else None

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        del payload
        fields["test"] = True
        return at


class _Quantity:
    """How many impressions one display is, where it is not one."""

    def pack(self, token: BidToken) -> bytes | None:
        several = token.quantity_ppm != ONE_IMPRESSION_PPM
        return _QUANTITY.pack(token.quantity_ppm) if several else None

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        (fields["quantity_ppm"],) = _QUANTITY.unpack_from(payload, at)
        return at + _QUANTITY.size


class _Currency:
    """The currency of the bid and its rate, where it is not the account's."""

    def pack(self, token: BidToken) -> bytes | None:
        currency = token.currency
        if currency is None:
            return None
        return _CURRENCY.pack(currency.code.encode(), str(currency.rate).encode())

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        code, rate = _CURRENCY.unpack_from(payload, at)
        fields["currency"] = BidCurrency(code.decode(), Decimal(rate.decode()))
        return at + _CURRENCY.size


class _Place:
    """Whose ad it is, and where it is shown."""

    def pack(self, token: BidToken) -> bytes | None:
        if not token.advertiser_id:
            return None
        place = token.place
        site = place.site.encode()
        country, device = place.country.encode() or _UNKNOWN_COUNTRY, int(place.device or 0)
        return _PLACE.pack(token.advertiser_id, country, device, len(site)) + site

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        advertiser_id, country, device, length = _PLACE.unpack_from(payload, at)
        at += _PLACE.size
        end: int = at + length
        site = payload[at:end]
        if len(site) < length:
            raise ValueError("the site is cut short")
        fields["advertiser_id"] = advertiser_id
        fields["place"] = Place(
            site=site.decode(),
            country="" if country == _UNKNOWN_COUNTRY else country.decode(),
            device=str(device or ""),
        )
        return end


class _ClickedAt:
    """When the ad was clicked on: in the token that its landing page gets."""

    def pack(self, token: BidToken) -> bytes | None:
        return _CLICKED_AT.pack(token.clicked_at_ms) if token.clicked_at_ms else None

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        (fields["clicked_at_ms"],) = _CLICKED_AT.unpack_from(payload, at)
        return at + _CLICKED_AT.size


class _Shard:
    """The shard of the bid's money and user, where it is not the first."""

    def pack(self, token: BidToken) -> bytes | None:
        return bytes((token.shard,)) if token.shard else None

    def unpack(self, payload: bytes, at: int, fields: dict[str, object]) -> int:
        fields["shard"] = payload[at : at + 1][0]
        return at + 1


# The order of the bytes; the flags came with the parts, in the order of their making.
PARTS: tuple[tuple[int, Part], ...] = (
    (1, _Test()),
    (2, _Quantity()),
    (8, _Currency()),
    (16, _Place()),
    (32, _ClickedAt()),
    (4, _Shard()),
)
"""Each part with its flag, in the order in which parts stand in a token."""


def pack_parts(token: BidToken) -> tuple[int, bytes]:
    """Return the flags of the parts that a token has, and their bytes."""
    flags, packed = 0, b""
    for flag, part in PARTS:
        told = part.pack(token)
        if told is not None:
            flags |= flag
            packed += told
    return flags, packed


def unpack_parts(flags: int, payload: bytes, at: int) -> dict[str, object]:
    """Return the BidToken fields of the parts that stand at ``at``; of the others, nothing.

    Raises ValueError where they cannot be read.
    """
    fields: dict[str, object] = {}
    try:
        for flag, part in PARTS:
            if flags & flag:
                at = part.unpack(payload, at, fields)
    except (struct.error, IndexError, ArithmeticError) as exc:
        raise ValueError("a part of the token cannot be read") from exc
    return fields
