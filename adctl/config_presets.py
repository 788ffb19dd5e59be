"""How well-known exchanges write their price, each from a public page of theirs.

Only what such a page says stands here; what it leaves open is the configuration's to set.
"""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """What an exchange's section need not say, and the pages that say it."""

    exchange: str
    pages: tuple[str, ...]
    price_encoding: str = "plain"
    price_unit: str = "cpm"
    price_macro: str = "${AUCTION_PRICE}"


PRESETS = {
    "bidmachine": Preset(
        "BidMachine",
        ("https://docs.bidmachine.io/docs/macros-for-bid-response",),
    ),
    "bidswitch": Preset(
        "BidSwitch",
        ("https://protocol.bidswitch.com/standards/macros.html",),
    ),
    "commerce-grid": Preset(
        "Criteo Commerce Grid",
        (
            "https://docs.commercegrid.criteo.com/kb/guide/en/bid-response-TVNuNk03QA/Steps/4349234,4349720,4357015",
        ),
    ),
    "google": Preset(
        "Google Authorized Buyers",
        (
            "https://developers.google.com/authorized-buyers/rtb/response-guide/decrypt-price",
            "https://support.google.com/authorizedbuyers/answer/3187591",
        ),
        price_encoding="encrypted",
        price_unit="impression_micros",
    ),
    "openx": Preset(
        "OpenX",
        ("https://docs.openx.com/demand-partners/openrtb-win-notification/",),
        price_encoding="encrypted",
        price_unit="impression_micros",
        price_macro="${AUCTION_PRICE:OXCRYPT}",
    ),
    "pubmatic": Preset(
        "PubMatic",
        ("https://community.pubmatic.com/display/BA/OpenRTB+2.3+-+Macros",),
    ),
}
"""By the name that ``preset`` in a section has."""
