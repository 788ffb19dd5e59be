from __future__ import annotations

import random
from urllib.parse import parse_qs, urlsplit

import pytest

from adctl.delivery.tokens import BidToken, Signer
from adctl.delivery.tracking import PURPOSE_OF
from adctl.delivery.tracking_urls import tracking_urls
from adctl.demo.forgery import forge
from adctl.errors import ForgedTokenError
from adctl.models import EventKind

SIGNER = Signer({1: bytes(32)})
TOKEN = BidToken(
    bid_id="0123456789abcdef01234567",
    campaign_id=3,
    creative_id=4,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=1_700_000_000_000,
    bucket=9,
)
GENUINE = tracking_urls("http://127.0.0.1:1", SIGNER, TOKEN).impression


def verify(url: str) -> BidToken:
    parts = urlsplit(url)
    kind = EventKind(parts.path.rpartition("/")[2])
    token = parse_qs(parts.query, keep_blank_values=True)["t"][0]
    return SIGNER.verify(token, PURPOSE_OF[kind], TOKEN.bid_at_ms, 60)


def test_the_genuine_url_is_genuine() -> None:
    assert verify(GENUINE) == TOKEN


def test_no_forged_url_verifies() -> None:
    rng = random.Random(1)
    forged = {forge(GENUINE, rng) for _ in range(200)}
    assert len(forged) == 9
    for url in forged:
        with pytest.raises(ForgedTokenError):
            verify(url)
