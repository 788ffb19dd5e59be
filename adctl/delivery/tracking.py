"""What an event does: to the budget, to the frequency cap, and to the record."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery import macros
from adctl.delivery.conversion import NO_ORDER, Order, order_digest
from adctl.delivery.loss_reasons import NOT_TOLD, WON
from adctl.delivery.oddities import ABOVE_BID
from adctl.delivery.price_macro import PLAIN_CPM
from adctl.delivery.tokens import BidToken, Purpose
from adctl.models import Event, EventKind
from adctl.money import cost_nanos_of

if TYPE_CHECKING:
    from adctl.delivery.currency import Rates
    from adctl.delivery.macros import ToldMacros
    from adctl.delivery.price_macro import PriceReader

PURPOSE_OF = {
    EventKind.IMPRESSION: Purpose.IMPRESSION,
    EventKind.CLICK: Purpose.CLICK,
    EventKind.CONVERSION: Purpose.CONVERSION,
    EventKind.WIN: Purpose.NOTICE,
    EventKind.BILL: Purpose.NOTICE,
    EventKind.LOSS: Purpose.NOTICE,
}
"""Which of a bid's tokens an event must show."""

BILLING_KIND = {
    "impression": EventKind.IMPRESSION,
    "burl": EventKind.BILL,
    "nurl": EventKind.WIN,
}
"""The event that books spend, by an exchange's ``billing_event`` setting."""


_MS_PER_DAY = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()


class Ending(StrEnum):
    """What an event does to its bid's reservation."""

    SETTLE = "settle"
    RELEASE = "release"
    KEEP = "keep"


class TrackedEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An event and its consequences, complete: what the store applies, or a spool keeps until then.

    ``counted_windows`` are the cap windows (seconds) the user has this event counted in;
    ``held_at_ms`` is when the bid put a hold on the cap that now ends, 0 for none. ``shard`` is the
    bid's.

    A claim is a conversion that an advertiser (``claimed_by``) tells of one of its users: the store
    finds the bid it counts for, and the event has nothing of a bid until then.
    """

    event: Event
    bucket: int
    ending: Ending
    reserved_nanos: int
    counted_windows: tuple[int, ...] = ()
    held_at_ms: int = 0
    shard: int = 0
    claimed_by: int = 0


def track(
    token: BidToken,
    kind: EventKind,
    billing_kind: EventKind,
    told: ToldMacros,
    now_ms: int,
    prices: PriceReader = PLAIN_CPM,
    rates: Rates | None = None,
    order: Order = NO_ORDER,
) -> TrackedEvent:
    """Return what ``kind`` means for the bid in ``token``.

    ``told`` are the exchange's macros as they arrived, ``prices`` reads its prices as it writes
    them, ``rates`` convert one in a currency that is not the bid's (None: all are in the bid's).
    The billing event settles at the told price for the told quantity, both clamped to what was
    bid; unpriced, at what was bid. A test bid costs nothing. ``order`` is what is told of a
    conversion.
    """
    price = prices.charged(told.price)
    if price is not None:
        price = macros.account_micros(price, told.currency, token, rates)
    loss_reason = _loss_reason(told.loss) if kind is EventKind.LOSS else 0
    priced_kind = kind in (billing_kind, EventKind.WIN, EventKind.BILL, EventKind.IMPRESSION)
    cleared = token.price_cpm_micros if price is None else min(price, token.price_cpm_micros)
    quantity_ppm = macros.quantity_ppm(told.quantity, token)
    bills = kind is billing_kind and not token.test
    seen = kind is EventKind.IMPRESSION
    # "Lost because it was won" is an exchange that tells every outcome to one address.
    lost = kind is EventKind.LOSS and loss_reason != WON and not token.test
    ends_hold = bool(token.cap_windows) and (seen or lost)
    return TrackedEvent(
        event=Event(
            event_id=_event_id(token, kind, order),
            event_date=_date_of(token.bid_at_ms // _MS_PER_DAY),
            kind=kind,
            occurred_at_ms=now_ms,
            bid_id=token.bid_id,
            campaign_id=token.campaign_id,
            creative_id=token.creative_id,
            exchange=token.exchange,
            price_cpm_micros=cleared if priced_kind else 0,
            cost_nanos=cost_nanos_of(cleared, quantity_ppm) if bills else 0,
            unpriced=bills and price is None,
            odd=ABOVE_BID if bills and price is not None and price > cleared else "",
            test=token.test,
            loss_reason=loss_reason,
            user_hash=token.user_hash,
            min_to_win_micros=macros.min_to_win_micros(told, token, rates, prices.plain),
            market_bid_ratio_ppm=macros.ratio_ppm(told.market_bid_ratio),
            shown_at_ms=macros.shown_at_ms(told.shown_at, token, now_ms),
            advertiser_id=token.advertiser_id,
            bid_cpm_micros=token.price_cpm_micros,
            order_id=order.order_id,
            value_nanos=order.value_nanos,
            told_value_nanos=order.told_value_nanos,
            told_currency=order.told_currency,
            attribution="click" if kind is EventKind.CONVERSION else "",
            site=token.place.site,
            country=token.place.country,
            device=token.place.device,
        ),
        bucket=token.bucket,
        ending=_ending(bills=bills, lost=lost),
        reserved_nanos=token.reserved_nanos,
        counted_windows=token.cap_windows if seen else (),
        held_at_ms=token.bid_at_ms if ends_hold else 0,
        shard=token.shard,
    )


def claim(
    advertiser_id: int, user_hash: str, shard: int, order: Order, now_ms: int
) -> TrackedEvent:
    """Return the conversion of an advertiser's user, to be counted for whichever bid it belongs to.

    ``order`` has an order id, by which repeats are recognised.
    """
    return TrackedEvent(
        event=Event(
            event_id=order_digest(advertiser_id, order.order_id),
            event_date="",
            kind=EventKind.CONVERSION,
            occurred_at_ms=now_ms,
            bid_id="",
            campaign_id=0,
            creative_id=0,
            exchange="",
            user_hash=user_hash,
            advertiser_id=advertiser_id,
            order_id=order.order_id,
            value_nanos=order.value_nanos,
            told_value_nanos=order.told_value_nanos,
            told_currency=order.told_currency,
        ),
        bucket=0,
        ending=Ending.KEEP,
        reserved_nanos=0,
        shard=shard,
        claimed_by=advertiser_id,
    )


def _event_id(token: BidToken, kind: EventKind, order: Order) -> str:
    """Return the id of an event: the same for its repeats. Every order of a bid is an event."""
    named = f"{token.bid_id}:{kind}"
    if not order.order_id:
        return named
    return f"{named}:{order_digest(token.advertiser_id, order.order_id)}"


@lru_cache(maxsize=128)
def _date_of(day: int) -> str:
    """Return the date of a day since 1970, in UTC."""
    return date.fromordinal(_EPOCH + day).isoformat()


def _ending(*, bills: bool, lost: bool) -> Ending:
    if bills:
        return Ending.SETTLE
    return Ending.RELEASE if lost else Ending.KEEP


def _loss_reason(text: str) -> int:
    """Read ``${AUCTION_LOSS}``; NOT_TOLD when it is not one of OpenRTB's small numbers."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else NOT_TOLD
