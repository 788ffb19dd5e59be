"""The tracker as browsers and exchanges see it: a process, HTTP, what comes of an event."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from adctl.delivery.currency import BidCurrency
from adctl.models import EventKind
from daemons.tracker.app import PIXEL
from tests.integration.tracker.street import PRICE, USER, url

if TYPE_CHECKING:
    from tests.integration.tracker.street import Street


def test_impression_gets_a_pixel_nobody_caches_and_settles(street: Street) -> None:
    reply = street.tell(street.bid(), "impression", price="1.5")
    assert (reply.status, reply.body) == (200, PIXEL)
    assert reply.headers["Content-Type"] == "image/gif"
    assert reply.headers["Cache-Control"] == "no-store"
    assert (street.money.spent, street.money.reserved) == (1_500_000, 0)
    assert street.money.adds_up
    [event] = street.events
    assert (event.kind, event.cost_nanos, event.user_hash) == (
        EventKind.IMPRESSION,
        1_500_000,
        USER,
    )


@pytest.mark.parametrize("kind", ["impression", "click", "conversion", "win", "bill", "loss"])
def test_server_that_posts_an_event_is_told_nothing(street: Street, kind: str) -> None:
    reply = street.tell(street.bid(), kind, "POST")
    assert (reply.status, reply.body) == (204, b"")
    assert [event.kind for event in street.events] == [kind]


@pytest.mark.parametrize("kind", ["win", "bill", "loss"])
def test_notice_is_answered_without_a_body_on_a_connection_that_stays(
    street: Street, kind: str
) -> None:
    street.connection.connect()
    sock = street.connection.sock
    for _ in range(3):
        reply = street.tell(street.bid(), kind)
        assert (reply.status, reply.body) == (204, b"")
    assert street.connection.sock is sock


@pytest.mark.parametrize("price", ["${AUCTION_PRICE}", quote("${AUCTION_PRICE}"), "", "AUDIT", "x"])
def test_unpriced_impression_settles_at_the_bids_own_price(street: Street, price: str) -> None:
    assert street.tell(street.bid(), "impression", price=price).status == 200
    assert street.money.spent == PRICE
    assert street.events[0].unpriced


def test_price_above_the_bid_is_not_paid(street: Street) -> None:
    street.tell(street.bid(), "impression", price="999999")
    assert street.money.spent == PRICE


def test_loss_gives_back_what_was_reserved(street: Street) -> None:
    bid = street.bid()
    assert street.money.reserved == PRICE
    street.call(url(bid, "loss") + "&r=102")
    assert (street.money.reserved, street.money.spent) == (0, 0)
    assert street.events[0].loss_reason == 102


def test_repeated_event_is_answered_alike_and_counted_as_a_duplicate(street: Street) -> None:
    labels = {"kind": "impression", "verdict": "duplicate"}
    before = street.metric("adctl_events_total", **labels)
    bid = street.bid()
    replies = [street.tell(bid, "impression") for _ in range(3)]
    assert [(reply.status, reply.body) for reply in replies] == [(200, PIXEL)] * 3
    assert len(street.events) == 1
    assert street.money.spent == 1_500_000
    assert street.metric("adctl_events_total", **labels) == before + 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["win", "bill", "loss", "impression"])
def test_repeated_notice_with_other_macros_changes_nothing(
    street: Street, kind: str, method: str
) -> None:
    bid = street.bid()
    told = url(bid, kind, "1.25") + "&c=USD&m=1.20&b=0.625&r=102"
    assert street.call(told, method).status in (200, 204)
    money, [first] = street.money, street.events
    for again in (told, url(bid, kind, "1.9") + "&c=XYZ&m=AUDIT&b=&q=3&s=1&r=1", url(bid, kind)):
        assert street.call(again, method).status in (200, 204)
    assert (street.money, street.events) == (money, [first])
    assert (first.min_to_win_micros, first.market_bid_ratio_ppm) == (1_200_000, 625_000)


def test_price_in_the_bids_currency_is_booked_at_the_signed_rate(street: Street) -> None:
    bid = street.bid(currency=BidCurrency("EUR", Decimal("1.1")))
    street.call(url(bid, "impression", "1.5") + "&c=EUR")
    assert (street.money.spent, street.events[0].unpriced) == (1_650_000, False)


def test_price_in_a_currency_nobody_has_a_rate_of_is_unpriced(street: Street) -> None:
    street.call(url(street.bid(), "impression", "0.1") + "&c=EUR")
    assert (street.money.spent, street.events[0].unpriced) == (PRICE, True)


@pytest.mark.parametrize("name", ["c", "q", "m", "b", "s", "r"])
@pytest.mark.parametrize(
    "value", ["", "AUDIT", "%24%7BAUCTION_X%7D", "%00%ff", "-1", "1e999999999"]
)
def test_macro_that_makes_no_sense_is_never_an_error(street: Street, name: str, value: str) -> None:
    assert street.call(f"{url(street.bid(), 'bill')}&{name}={value}").status == 204
    [event] = street.events
    assert event.min_to_win_micros is None
    assert event.market_bid_ratio_ppm is None
    assert event.shown_at_ms is None
