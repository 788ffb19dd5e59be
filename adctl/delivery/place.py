"""Where an impression is: what bids, events and reports are told apart by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.app_ids import app_of
from adctl.delivery.codes import normal_country
from adctl.delivery.targeting import domains_of

if TYPE_CHECKING:
    from adctl.openrtb import BidRequest

MAX_SITE_BYTES = 64
"""Longer names are cut: a signed URL carries them, five times a bid."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """The site or app, country and device of an impression; '' for what is not known.

    ``site`` is the domain of the site, else the app, as they are targeted, and at most
    MAX_SITE_BYTES of it; ``country`` ISO 3166-1 alpha-3; ``device`` AdCOM's number of the device
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
    site, app = request.site, request.app
    domains = domains_of(site) if site else ()
    name = domains[0] if domains else app_of(app.bundle) if app else ""
    kind = device.devicetype if device else None
    return Place(
        # Of plain letters, so that bytes are characters.
        site=name[:MAX_SITE_BYTES],
        country=normal_country(geo.country) if geo else "",
        device=str(kind) if kind is not None and 0 < kind < 256 else "",
    )
