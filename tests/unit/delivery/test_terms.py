from __future__ import annotations

import pytest

from adctl.config import PrivacySettings, Settings, TrackerSettings
from adctl.config_exchange import ExchangeSettings
from adctl.delivery.privacy import PrivacyPolicy
from adctl.delivery.terms import terms_by_exchange, terms_of
from adctl.delivery.tracking_urls import Notices


@pytest.mark.parametrize(
    ("public_url", "secure"),
    [
        ("https://t.example", True),
        ("http://t.example", False),
        ("http://127.0.0.1:8081", True),
        ("http://localhost:8081", True),
        ("http://localhost.evil.example", False),
        ("", True),
    ],
)
def test_secure_pages_get_https_or_loopback_only(public_url: str, secure: bool) -> None:
    settings = Settings(tracker=TrackerSettings(public_url=public_url))
    assert terms_of(settings).secure is secure


def test_exposed_tracker_without_a_public_url_is_not_secure() -> None:
    settings = Settings(tracker=TrackerSettings(host="192.0.2.1", port=8081))
    terms = terms_of(settings)
    assert (terms.tracker_url, terms.secure) == ("http://192.0.2.1:8081", False)


def test_exchange_goes_by_the_house_or_by_a_policy_of_its_own() -> None:
    settings = Settings(
        privacy=PrivacySettings(vendor_id=7),
        exchanges={"strict": ExchangeSettings(gdpr_policy="no_bid"), "usual": ExchangeSettings()},
    )
    terms = terms_by_exchange(settings)
    assert terms["strict"].privacy == PrivacyPolicy(7, "no_bid")
    assert terms["usual"].privacy == PrivacyPolicy(7, "contextual")


def test_exchange_is_asked_for_the_notices_it_sends_and_the_price_it_writes() -> None:
    settings = Settings(
        exchanges={
            "quiet": ExchangeSettings(
                win_notice=False, loss_notice=False, billing_event="burl", price_encoding="base64"
            )
        }
    )
    assert terms_by_exchange(settings)["quiet"].notices == Notices(
        win=False, loss=False, price_macro="${AUCTION_PRICE:B64}"
    )
