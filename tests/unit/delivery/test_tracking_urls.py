from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.delivery.tracking_urls import TrackingUrls, tracking_urls
from adctl.errors import ForgedTokenError

SIGNER = Signer({7: bytes(32)})
NOW_MS = 1_767_225_600_000
TOKEN = BidToken(
    bid_id="0" * 23 + "1",
    campaign_id=1,
    creative_id=2,
    exchange="default",
    price_cpm_micros=2_010_000,
    bid_at_ms=NOW_MS,
    bucket=NOW_MS // 60_000,
    user_hash="ab" * 16,
    cap_windows=(3600,),
)


@pytest.fixture(scope="module")
def urls() -> TrackingUrls:
    return tracking_urls("https://t.example/x", SIGNER, TOKEN)


@pytest.mark.parametrize(
    ("name", "path", "purpose"),
    [
        ("nurl", "/x/notice/win", Purpose.NOTICE),
        ("burl", "/x/notice/bill", Purpose.NOTICE),
        ("lurl", "/x/notice/loss", Purpose.NOTICE),
        ("impression", "/x/track/impression", Purpose.IMPRESSION),
        ("click", "/x/track/click", Purpose.CLICK),
    ],
)
def test_url_proves_its_bid_for_its_own_purpose_only(
    urls: TrackingUrls, name: str, path: str, purpose: Purpose
) -> None:
    parts = urlsplit(getattr(urls, name))
    [text] = parse_qs(parts.query)["t"]
    assert (parts.netloc, parts.path) == ("t.example", path)
    assert SIGNER.verify(text, purpose, NOW_MS, 60) == TOKEN
    for other in set(Purpose) - {purpose}:
        with pytest.raises(ForgedTokenError):
            SIGNER.verify(text, other, NOW_MS, 60)


def test_no_url_lets_a_browser_report_a_conversion(urls: TrackingUrls) -> None:
    conversion = SIGNER.sign(TOKEN)[Purpose.CONVERSION]
    assert not any(conversion in url for url in (urls.impression, urls.click, urls.nurl))


@pytest.mark.parametrize("name", ["nurl", "burl", "lurl", "impression"])
def test_exchange_fills_in_the_price_where_it_can(urls: TrackingUrls, name: str) -> None:
    assert getattr(urls, name).count("&p=${AUCTION_PRICE}") == 1


def test_exchange_is_asked_why_a_bid_lost(urls: TrackingUrls) -> None:
    assert urls.lurl.endswith("&r=${AUCTION_LOSS}")


def test_click_url_has_no_macro_that_a_browser_would_send_unexpanded(urls: TrackingUrls) -> None:
    assert "$" not in urls.click
