from __future__ import annotations

import pytest

from adctl.config import Settings, TrackerSettings
from adctl.delivery.terms import terms_of


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
