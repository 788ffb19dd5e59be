"""What the house bids under, whatever the request."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from adctl.delivery.identity import IdentityPolicy
from adctl.delivery.privacy import PrivacyPolicy
from adctl.delivery.tracking_urls import ALL_NOTICES, Notices

if TYPE_CHECKING:
    from adctl.config import Settings
    from adctl.config_exchange import ExchangeSettings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
    identity: IdentityPolicy = IdentityPolicy()
    notices: Notices = ALL_NOTICES
    require_complete_schain: bool = False


def terms_of(settings: Settings) -> Terms:
    """Return what the house bids under wherever an exchange is not treated otherwise."""
    tracker_url = settings.tracker.base_url
    parts = urlsplit(tracker_url)
    return Terms(
        currency=settings.currency,
        seat=settings.bidder.seat,
        tracker_url=tracker_url,
        # Browsers treat loopback as a secure context, so https pages may use it.
        secure=parts.scheme == "https" or parts.hostname in _LOOPBACK,
        max_imps=settings.bidder.max_imps,
        max_candidates=settings.bidder.max_candidates,
        network_margin_ms=settings.bidder.network_margin_ms,
        reservation_bucket_sec=settings.money.reservation_bucket_sec,
        reservation_ttl_sec=settings.money.reservation_ttl_sec,
        privacy=PrivacyPolicy(settings.privacy.vendor_id, settings.privacy.gdpr_policy),
        identity=IdentityPolicy(
            settings.identity.sources,
            settings.identity.inferred,
            frozenset(settings.identity.inserters),
        ),
    )


def terms_by_exchange(settings: Settings) -> dict[str, Terms]:
    """Return what the house bids under at each exchange."""
    return {
        name: msgspec.structs.replace(
            terms_of(settings),
            seat=exchange.seat or settings.bidder.seat,
            usual_currency=exchange.currency,
            privacy=PrivacyPolicy(
                settings.privacy.vendor_id, exchange.gdpr_policy or settings.privacy.gdpr_policy
            ),
            notices=_notices(exchange),
            require_complete_schain=exchange.require_complete_schain,
        )
        for name, exchange in settings.exchanges.items()
    }


def _notices(exchange: ExchangeSettings) -> Notices:
    return Notices(
        win=exchange.win_notice,
        billing=exchange.billing_notice,
        loss=exchange.loss_notice,
        price_macro=exchange.price_form.macro,
    )
