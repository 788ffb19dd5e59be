"""Clicks lead where the creative says, and nowhere else."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest

from adctl.delivery.tokens import CLOCKS_APART_SEC, Purpose
from tests.integration.tracker.street import (
    SIGNER,
    TOKEN_TTL_SEC,
    Street,
    everything,
    url,
)


def test_click_leads_to_the_landing_page_with_an_id_that_proves_a_conversion(
    street: Street,
) -> None:
    bid = street.bid()
    reply = street.tell(bid, "click")
    assert reply.status == 302
    location = urlsplit(reply.headers["Location"])
    assert (location.netloc, location.path) == ("advertiser.example", "/shop")
    query = parse_qs(location.query, strict_parsing=True)
    assert query["from"] == ["ad"]
    [click_id] = query["click"]
    assert query["c"] == ["1"]
    assert query["on"] == ["news.example"]
    proven = SIGNER.verify(click_id, Purpose.CONVERSION, bid.bid_at_ms, 60)
    assert proven.clicked_at_ms >= bid.bid_at_ms
    assert msgspec.structs.replace(proven, clicked_at_ms=0) == bid
    assert street.call(f"/track/conversion?t={quote(click_id)}").status == 200
    assert [event.kind for event in street.events] == ["click", "conversion"]


def test_click_never_leads_where_its_url_says(street: Street) -> None:
    elsewhere = quote("https://evil.example/")
    asked = "&".join(f"{name}={elsewhere}" for name in ("url", "u", "redirect", "to", "landing"))
    location = street.call(f"{url(street.bid(), 'click')}&{asked}").headers["Location"]
    assert urlsplit(location).netloc == "advertiser.example"
    assert "evil" not in location


def test_click_on_a_creative_nobody_knows_is_kept_and_asked_to_come_again(street: Street) -> None:
    reply = street.tell(street.bid(creative_id=99), "click")
    assert reply.status == 503
    assert reply.headers["Retry-After"]
    assert [event.kind for event in street.events] == ["click"]


@pytest.mark.parametrize("by_sec", [-TOKEN_TTL_SEC - 5, CLOCKS_APART_SEC + 60])
def test_genuine_click_that_is_too_late_or_too_early_leads_on_and_is_not_counted(
    street: Street, by_sec: int
) -> None:
    bid = street.bid()
    stored = everything(street.redis)
    moved = msgspec.structs.replace(bid, bid_at_ms=bid.bid_at_ms + by_sec * 1000)
    reply = street.tell(moved, "click")
    location = urlsplit(reply.headers["Location"])
    assert (reply.status, location.netloc) == (302, "advertiser.example")
    assert parse_qs(location.query, keep_blank_values=True)["click"] == [""]
    assert everything(street.redis) == stored
