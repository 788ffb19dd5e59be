"""Where an impression is: what bids, events and reports are told apart by."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from adctl.openrtb import BidRequest

MAX_SITE_BYTES = 64
"""Longer names are cut: a signed URL carries them, five times a bid."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """The site or app, country and device of an impression; '' for what is not known.

    ``site`` is the domain of the site, else the app's bundle, in small letters and at most
    MAX_SITE_BYTES of UTF-8; ``country`` ISO 3166-1 alpha-3; ``device`` AdCOM's number of the device
    type. Nothing here tells of the user.
    """

    site: str = ""
    country: str = ""
    device: str = ""


NOWHERE = Place()


def place_of(request: BidRequest) -> Place:
    """Return where a request's impressions are, in a form that can be stored anywhere."""
    device = request.device
    geo = device.geo if device else None
    name = (request.site.domain if request.site else None) or (
        request.app.bundle if request.app else None
    )
    kind = device.devicetype if device else None
    return Place(
        # No more characters than bytes are left of it.
        site=_site(name[:MAX_SITE_BYTES]) if name else "",
        country=_country(geo.country) if geo and geo.country else "",
        device=str(kind) if kind is not None and 0 < kind < 256 else "",
    )


@lru_cache(maxsize=4096)
def _site(name: str) -> str:
    # Half of a surrogate pair is JSON, but no text.
    cut = name.lower().encode("utf-8", "ignore")[:MAX_SITE_BYTES].decode("utf-8", "ignore")
    return cut if cut.isprintable() else "".join(filter(str.isprintable, cut))


def _country(code: str) -> str:
    return code.upper() if len(code) == 3 and code.isascii() and code.isalpha() else ""
