from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.delivery.tracking_urls import (
    Notices,
    TrackingUrls,
    tracking_urls,
)
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
    assert getattr(urls, name).count("&p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}") == 1


@pytest.mark.parametrize("name", ["nurl", "burl", "lurl", "impression"])
def test_price_is_asked_for_as_the_exchange_writes_it(name: str) -> None:
    notices = Notices(price_macro="${AUCTION_PRICE:B64}")
    asked = getattr(tracking_urls("https://t.example", SIGNER, TOKEN, notices), name)
    assert "&p=${AUCTION_PRICE:B64}&" in asked


@pytest.mark.parametrize("name", ["nurl", "lurl"])
def test_notices_are_asked_what_would_have_won(urls: TrackingUrls, name: str) -> None:
    assert "&m=${AUCTION_MIN_TO_WIN}&b=${AUCTION_MBR}" in getattr(urls, name)


@pytest.mark.parametrize("name", ["burl", "impression"])
def test_what_may_be_told_late_is_asked_when_it_happened(urls: TrackingUrls, name: str) -> None:
    assert "&s=${AUCTION_IMP_TS}" in getattr(urls, name)


@pytest.mark.parametrize("name", ["nurl", "burl", "impression"])
def test_quantity_is_asked_for_where_a_display_is_several_impressions(
    urls: TrackingUrls, name: str
) -> None:
    several = msgspec.structs.replace(TOKEN, quantity_ppm=14_200_000)
    asked = getattr(tracking_urls("https://t.example", SIGNER, several), name)
    assert asked.endswith("&q=${AUCTION_MULTIPLIER}")
    assert "MULTIPLIER" not in getattr(urls, name)


@pytest.mark.parametrize(
    ("notices", "missing"),
    [
        (Notices(win=False), {"nurl"}),
        (Notices(billing=False), {"burl"}),
        (Notices(loss=False), {"lurl"}),
    ],
)
def test_notice_that_is_not_sent_is_not_asked_for(notices: Notices, missing: set[str]) -> None:
    made = tracking_urls("https://t.example", SIGNER, TOKEN, notices)
    assert {name for name in ("nurl", "burl", "lurl") if not getattr(made, name)} == missing


def test_exchange_is_asked_why_a_bid_lost(urls: TrackingUrls) -> None:
    assert urls.lurl.endswith("&r=${AUCTION_LOSS}")


def test_click_url_has_no_macro_that_a_browser_would_send_unexpanded(urls: TrackingUrls) -> None:
    assert "$" not in urls.click
