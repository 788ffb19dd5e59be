from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.landing_page import (
    LANDING_MACROS,
    filled,
    has_fixed_host,
    macros_in,
    without_macros,
)
from adctl.delivery.tokens import BidToken

TOKEN = BidToken(
    bid_id="0102030405060708090a0b0c",
    campaign_id=7,
    creative_id=9,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=1_000_000,
    bucket=16,
)
NOW_MS = 1_700_000_000_999


def nobody_asks() -> str:
    raise AssertionError("a signature was made for nothing")


def test_every_macro_is_filled_with_what_the_bid_proves() -> None:
    query = "&".join(f"{macro[1:-1]}={macro}" for macro in LANDING_MACROS)
    url = filled(f"https://a.example/{{campaign_id}}?{query}", TOKEN, lambda: "cl-ick", NOW_MS)
    assert urlsplit(url).path == "/7"
    assert parse_qs(urlsplit(url).query, strict_parsing=True) == {
        "click_id": ["cl-ick"],
        "bid_id": [TOKEN.bid_id],
        "campaign_id": ["7"],
        "creative_id": ["9"],
        "exchange": ["default"],
        "clicked_at": ["1700000000"],
    }


@given(st.text(st.characters(codec="utf-8")))
def test_no_value_can_leave_the_place_it_was_put_in(exchange: str) -> None:
    token = msgspec.structs.replace(TOKEN, exchange=exchange)
    url = filled("https://a.example/x?e={exchange}&y=1#z", token, nobody_asks, NOW_MS)
    parts = urlsplit(url)
    assert (parts.netloc, parts.path, parts.fragment) == ("a.example", "/x", "z")
    told, last = parts.query.split("&")
    assert (unquote(told.removeprefix("e=")), last) == (exchange, "y=1")
    assert url.isascii()
    assert url.isprintable()


def test_a_value_that_looks_like_a_macro_is_not_filled_again() -> None:
    token = msgspec.structs.replace(TOKEN, exchange="{click_id}")
    url = filled("https://a.example/?e={exchange}&c={click_id}", token, lambda: "secret", NOW_MS)
    assert url == "https://a.example/?e=%7Bclick_id%7D&c=secret"


def test_macros_are_found_once_each_and_taken_out() -> None:
    url = "https://a.example/{x}?a={click_id}&b={x}"
    assert macros_in(url) == ("{x}", "{click_id}")
    assert without_macros(url) == "https://a.example/?a=&b="


@pytest.mark.parametrize(
    ("url", "fixed"),
    [
        ("https://a.example", True),
        ("https://a.example?c={click_id}", True),
        ("HTTPS://a.example/{click_id}", True),
        ("https://a.example#{click_id}", True),
        ("https://{exchange}", False),
        ("https://{exchange}.a.example/", False),
        ("https://a.example{click_id}/", False),
        ("https://a.example:{campaign_id}/", False),
        ("{exchange}://a.example/", False),
        ("http{exchange}://a.example/", False),
    ],
)
def test_the_host_of_a_page_is_its_own(url: str, fixed: bool) -> None:
    assert has_fixed_host(url) is fixed
