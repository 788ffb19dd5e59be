"""What the house bids under, whatever the request."""

from __future__ import annotations

import msgspec

from adctl.delivery.privacy import PrivacyPolicy


class Terms(msgspec.Struct, frozen=True):
    """What the house bids under. ``secure``: the tracker may be put into https pages."""

    currency: str
    seat: str
    tracker_url: str
    secure: bool
    max_imps: int
    max_candidates: int
    network_margin_ms: int
    reservation_bucket_sec: int
    reservation_ttl_sec: int
    # What an exchange takes whose request does not say; empty: our own currency.
    usual_currency: str = ""
    privacy: PrivacyPolicy = PrivacyPolicy()
