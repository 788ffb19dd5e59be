from __future__ import annotations

import pytest

from adctl.config import PrivacySettings, Settings, TrackerSettings
from adctl.config_exchange import ExchangeSettings
from adctl.config_identity import IdentitySettings
from adctl.delivery.identity import IdentityPolicy
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


def test_users_are_known_at_every_exchange_as_the_configuration_says() -> None:
    told = IdentitySettings(sources=("ifa", "eids"), inferred="never", inserters=("SSP.example",))
    settings = Settings(identity=told, exchanges={"usual": ExchangeSettings()})
    expected = IdentityPolicy(("ifa", "eids"), "never", frozenset(("ssp.example",)))
    assert terms_of(settings).identity == terms_by_exchange(settings)["usual"].identity == expected
    assert terms_of(Settings()).identity == IdentityPolicy()


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
