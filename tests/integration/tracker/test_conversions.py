"""Conversions: counted for the click that led to them, once an order, with their value."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest

from adctl.delivery.advertiser_keys import AdvertiserKeys
from adctl.delivery.conversion import read_order_id
from adctl.delivery.tokens import hash_user
from adctl.stores import keys
from tests.integration.tracker.street import KEY, Reply, Street, token_of

if TYPE_CHECKING:
    from adctl.delivery.tokens import BidToken

ADVERTISER_KEY = AdvertiserKeys(KEY).key_of(1)
READER = "reader-7"
READER_HASH = hash_user(KEY, READER)
MONTH_MS = 30 * 86_400_000


def readers_bid(street: Street, **changes: object) -> BidToken:
    return street.bid(user_hash=READER_HASH, **changes)


def claim(street: Street, order: str = "o-1", **told: str) -> Reply:
    query = {"k": ADVERTISER_KEY, "u": READER, "o": order, **told}
    told_text = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    return street.call(f"/track/conversion?{told_text}")


def click_id_of(street: Street, bid: BidToken) -> str:
    location = urlsplit(street.tell(bid, "click").headers["Location"])
    return parse_qs(location.query)["click"][0]


def test_landing_page_tells_what_its_click_was_worth(street: Street) -> None:
    bid = street.bid()
    click_id = click_id_of(street, bid)
    reply = street.call(f"/track/conversion?t={quote(click_id)}&o=A-17&v=12.50")
    assert reply.status == 200
    event = street.events[-1]
    assert (event.kind, event.bid_id, event.attribution) == ("conversion", bid.bid_id, "click")
    assert (event.order_id, event.value_nanos, event.advertiser_id) == ("A-17", 12_500_000_000, 1)


def test_orders_of_one_click_count_once_each(street: Street) -> None:
    click_id = click_id_of(street, street.bid())
    for order in ("A-1", "A-2", "A-1"):
        street.call(f"/track/conversion?t={quote(click_id)}&o={order}")
    assert [event.order_id for event in street.events] == ["", "A-1", "A-2"]


def test_value_without_a_rate_is_kept_as_told(street: Street) -> None:
    click_id = click_id_of(street, street.bid())
    street.call(f"/track/conversion?t={quote(click_id)}&v=5&vc=chf")
    event = street.events[-1]
    assert (event.value_nanos, event.told_value_nanos, event.told_currency) == (
        None,
        5_000_000_000,
        "CHF",
    )


def test_click_counts_until_its_window_ends(street: Street) -> None:
    old = street.bid()
    aged = {"bid_at_ms": old.bid_at_ms - MONTH_MS - 3_000_000}
    young = msgspec.structs.replace(old, clicked_at_ms=old.bid_at_ms - MONTH_MS + 60_000, **aged)
    gone = msgspec.structs.replace(old, clicked_at_ms=old.bid_at_ms - MONTH_MS - 60_000, **aged)
    path = "/track/conversion?t="
    assert street.call(path + quote(token_of(young, "conversion"))).status == 200
    reply = street.call(path + quote(token_of(gone, "conversion")))
    assert (reply.status, reply.body.split(b":")[0]) == (403, b"expired")


def test_everything_wrong_with_a_claim_is_told_at_once(street: Street) -> None:
    reply = street.call("/track/conversion?k=1.3.x&o=undefined&v=1e99&vc=EURO")
    assert reply.status == 400
    told = reply.body.decode()
    assert all(f"{name}: got" in told for name in ("k", "u", "o"))
    assert not street.events


@pytest.mark.parametrize("by", ["click", "user"])
@pytest.mark.parametrize("order", ["A 17", "Größe-17", "ü1" * 50, "A\u0000\u0007", 'A"],{'])
def test_order_with_an_unusual_id_is_kept_and_counts_once(
    street: Street, by: str, order: str
) -> None:
    click_id = click_id_of(street, readers_bid(street))
    for _ in range(2):
        if by == "click":
            reply = street.call(f"/track/conversion?t={click_id}&o={quote(order)}&v=12,50")
        else:
            reply = claim(street, order, v="12,50")
        assert reply.status == 200
    [event] = street.events[1:]
    assert event.order_id == read_order_id(order)
    assert event.value_nanos == 12_500_000_000


def test_conversion_of_a_user_counts_for_the_last_click(street: Street) -> None:
    first, last, seen = (readers_bid(street) for _ in range(3))
    street.tell(first, "click")
    street.tell(last, "click")
    street.tell(seen, "impression")
    assert claim(street, v="20").status == 200
    event = street.events[-1]
    assert (event.kind, event.bid_id, event.attribution) == ("conversion", last.bid_id, "click")
    assert (event.value_nanos, event.site) == (20_000_000_000, "news.example")
    assert event.event_date == street.events[0].event_date
    assert street.redis.hget(keys.counters(0, 1), "conversion") == "1"


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ("6d92078a-8246-4ba4-ae5b-76104861e7dc", "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
        ("6d92078a-8246-4ba4-ae5b-76104861e7dc", "6d92078a82464ba4ae5b76104861e7dc"),
        ("uidapi.com:reader", "UIDAPI.com:reader"),
        ("reader", " reader "),
    ],
)
def test_conversion_of_a_user_counts_however_the_id_is_written(
    street: Street, known: str, told: str
) -> None:
    bid = street.bid(user_hash=hash_user(KEY, known))
    street.tell(bid, "click")
    assert claim(street, u=told).status == 200
    assert (street.events[-1].bid_id, street.events[-1].attribution) == (bid.bid_id, "click")


@pytest.mark.parametrize(
    "told", ["undefined", "0", "00000000-0000-0000-0000-000000000000", "%25%25USER_ID%25%25", "-1"]
)
def test_conversion_of_nobody_in_particular_is_refused(street: Street, told: str) -> None:
    reply = claim(street, u=told)
    assert reply.status == 400
    assert reply.body.startswith(b"u: got")
    assert not street.events


def test_user_who_only_saw_the_ad_converts_by_view(street: Street) -> None:
    bid = readers_bid(street)
    street.tell(bid, "impression")
    claim(street)
    assert (street.events[-1].bid_id, street.events[-1].attribution) == (bid.bid_id, "view")
    assert street.redis.hget(keys.counters(0, 1), "view_conversion") == "1"


def test_order_of_a_user_counts_once(street: Street) -> None:
    street.tell(readers_bid(street), "click")
    before = street.metric("adctl_events_total", kind="conversion", verdict="duplicate")
    assert [claim(street, order).status for order in ("1", "2", "1")] == [200] * 3
    assert [event.order_id for event in street.events] == ["", "1", "2"]
    after = street.metric("adctl_events_total", kind="conversion", verdict="duplicate")
    assert after == before + 1


@pytest.mark.parametrize("whose", ["nobody's", "another advertiser's", "a test's", "unidentified"])
def test_conversion_without_a_touch_is_counted_for_nobody(street: Street, whose: str) -> None:
    changes = {
        "nobody's": None,
        "another advertiser's": {"advertiser_id": 2},
        "a test's": {"test": True},
        "unidentified": {"user_hash": ""},
    }[whose]
    if changes is not None:
        street.tell(msgspec.structs.replace(readers_bid(street), **changes), "click")
    before = len(street.events)
    assert claim(street).status == 200
    assert len(street.events) == before


def test_server_posts_conversions_of_users_and_of_clicks_together(street: Street) -> None:
    bid = readers_bid(street)
    click_id = click_id_of(street, bid)
    reply = street.post(
        [
            {"kind": "conversion", "token": click_id, "order_id": "1", "value": "3.10"},
            {
                "kind": "conversion",
                "advertiser_key": ADVERTISER_KEY,
                "user_id": READER,
                "order_id": 2,
                "value": "4",
                "currency": "USD",
            },
            {"kind": "click", "advertiser_key": ADVERTISER_KEY, "order_id": "3"},
        ]
    )
    told = msgspec.json.decode(reply.body)["verdicts"]
    assert [one["verdict"] for one in told] == ["taken", "taken", "rejected"]
    assert {fault["field"] for fault in told[2]["faults"]} == {"kind", "user_id"}
    values = [event.value_nanos for event in street.events[1:]]
    assert values == [3_100_000_000, 4_000_000_000]


def test_raw_id_of_a_user_is_stored_nowhere(street: Street) -> None:
    street.tell(readers_bid(street), "click")
    claim(street)
    held = [str(street.redis.dump(key)) for key in street.redis.scan_iter()]
    assert not any(READER in text for text in held)
