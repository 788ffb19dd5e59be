from base64 import b64encode

import msgspec
import pytest

from adctl.delivery.loss_reasons import NOT_TOLD
from adctl.delivery.macros import ToldMacros
from adctl.delivery.price_macro import price_reader
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import Ending, TrackedEvent, track
from adctl.models import EventKind

TOKEN = BidToken(
    bid_id="ab" * 12,
    campaign_id=7,
    creative_id=9,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=1_767_225_599_000,  # 2025-12-31T23:59:59Z
    bucket=16,
    user_hash="cd" * 16,
    cap_windows=(3600,),
)
LATER_MS = TOKEN.bid_at_ms + 5_000


def tracked(
    kind: EventKind = EventKind.IMPRESSION,
    billing: EventKind = EventKind.IMPRESSION,
    price: str = "1.50",
    loss: str = "",
    token: BidToken = TOKEN,
) -> TrackedEvent:
    return track(token, kind, billing, ToldMacros(price, loss), LATER_MS)


def test_billing_event_settles_at_the_told_price() -> None:
    result = tracked(price="1.50")
    assert (result.ending, result.event.cost_nanos) == (Ending.SETTLE, 1_500_000)
    assert result.reserved_nanos == 2_000_000


def test_told_price_above_the_bid_is_clamped_to_it() -> None:
    assert tracked(price="99").event.cost_nanos == 2_000_000


@pytest.mark.parametrize("price", ["", "AUDIT", "${AUCTION_PRICE}", "-1", "garbage"])
def test_unpriced_billing_event_settles_at_the_bid_and_says_so(price: str) -> None:
    event = tracked(price=price).event
    assert (event.cost_nanos, event.unpriced) == (2_000_000, True)


@pytest.mark.parametrize("kind", [EventKind.WIN, EventKind.CLICK, EventKind.CONVERSION])
def test_other_events_leave_the_reservation_alone(kind: EventKind) -> None:
    result = tracked(kind)
    assert (result.ending, result.event.cost_nanos) == (Ending.KEEP, 0)


def test_impression_costs_nothing_where_the_notice_bills() -> None:
    assert tracked(billing=EventKind.BILL).event.cost_nanos == 0
    assert tracked(EventKind.BILL, EventKind.BILL).event.cost_nanos == 1_500_000


def test_loss_releases_the_reservation_and_the_hold() -> None:
    result = tracked(EventKind.LOSS, loss="102")
    assert (result.ending, result.event.loss_reason) == (Ending.RELEASE, 102)
    assert result.held_at_ms == TOKEN.bid_at_ms
    assert result.counted_windows == ()


@pytest.mark.parametrize("loss", ["", "${AUCTION_LOSS}", "-3", "999999", "x", "²"])
def test_unreadable_loss_reason_counts_as_not_told_and_still_releases(loss: str) -> None:
    result = tracked(EventKind.LOSS, loss=loss)
    assert (result.event.loss_reason, result.ending) == (NOT_TOLD, Ending.RELEASE)


def test_loss_that_says_won_leaves_the_reservation_alone() -> None:
    result = tracked(EventKind.LOSS, loss="0")
    assert (result.ending, result.held_at_ms) == (Ending.KEEP, 0)


def test_impression_is_counted_in_every_window_of_its_bid() -> None:
    assert tracked().counted_windows == (3600,)


def test_test_bid_costs_nothing() -> None:
    result = tracked(token=msgspec.structs.replace(TOKEN, test=True))
    assert (result.ending, result.event.cost_nanos) == (Ending.KEEP, 0)


def test_event_is_dated_by_its_bid_so_that_a_repeat_meets_the_first() -> None:
    event = tracked().event
    assert event.event_date == "2025-12-31"
    assert event.event_id == f"{TOKEN.bid_id}:impression"


def test_price_is_read_as_its_exchange_writes_it() -> None:
    text = b64encode(b"1.25").decode()
    read_price = price_reader("base64")
    event = track(
        TOKEN, EventKind.IMPRESSION, EventKind.IMPRESSION, ToldMacros(text), LATER_MS, read_price
    ).event
    assert (event.cost_nanos, event.unpriced) == (1_250_000, False)


def test_event_goes_to_the_shard_of_its_bid() -> None:
    token = msgspec.structs.replace(TOKEN, shard=7)
    assert track(token, EventKind.CLICK, EventKind.IMPRESSION, ToldMacros(), 5).shard == 7
