"""What an exchange put in place of our macros (OpenRTB 2.6, 4.4), read so that nothing is an error.

A value that is not known may be empty, ``AUDIT`` or the macro as it was; and anybody may call a
URL with anything. Whatever makes no sense is None: not told, never 0.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.details import LeftOut
from adctl.delivery.loss_reasons import NOT_TOLD
from adctl.delivery.placeholders import is_placeholder
from adctl.money import (
    LONGEST_NUMBER,
    MAX_CPM_MICROS,
    MAX_QUANTITY_PPM,
    ONE_IMPRESSION_PPM,
    parse_clearing_price,
    read_decimal,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from adctl.delivery.currency import Rates
    from adctl.delivery.price_macro import ReadPrice
    from adctl.delivery.tokens import BidToken
    from adctl.models import Event

_CODE = re.compile(r"[A-Za-z]{3}")
_NOT_KNOWN = "AUDIT"
_HIGHEST_PPM = 10**12


class ToldMacros(msgspec.Struct, frozen=True, gc=False):
    """The values of a call's parameters, as they came; '' for what was not sent."""

    price: str = ""
    loss: str = ""
    currency: str = ""
    quantity: str = ""
    min_to_win: str = ""
    market_bid_ratio: str = ""
    shown_at: str = ""


def account_micros(
    micros: int, told_currency: str, token: BidToken, rates: Rates | None
) -> int | None:
    """Return a told price in the account's currency, rounded up to a micro; None without a rate.

    It is in the bid's currency, at the rate signed with the bid, unless ``told_currency``
    (``${AUCTION_CURRENCY}``) is another one; that is converted by ``rates``.
    """
    code = told_currency.upper() if _CODE.fullmatch(told_currency) else ""
    signed = token.currency
    if rates is not None and code and code != (signed.code if signed else rates.account):
        return rates.to_account_micros(micros, code)
    return micros if signed is None else signed.account_micros(micros)


def quantity_ppm(text: str, token: BidToken) -> int:
    """Return how many impressions are paid, in millionths: ``${AUCTION_MULTIPLIER}``.

    At most what the bid was made for, and that where nothing is told. 0 is no quantity.
    """
    told = _decimal(text)
    if told is None or told <= 0 or told.adjusted() > LONGEST_NUMBER:
        return token.quantity_ppm
    exact = (told * ONE_IMPRESSION_PPM).to_integral_value(ROUND_CEILING)
    return min(int(exact), token.quantity_ppm, MAX_QUANTITY_PPM)


def ratio_ppm(text: str) -> int | None:
    """Return ``${AUCTION_MBR}``, clearing price by bid price, in millionths, rounded down."""
    told = _decimal(text)
    if told is None or told.adjusted() > LONGEST_NUMBER:
        return None
    ppm = int((told * 1_000_000).to_integral_value(ROUND_FLOOR))
    return ppm if ppm <= _HIGHEST_PPM else None


def min_to_win_micros(
    told: ToldMacros,
    token: BidToken,
    rates: Rates | None,
    read: ReadPrice = parse_clearing_price,
) -> int | None:
    """Return ``${AUCTION_MIN_TO_WIN}``, which is in the bid's currency, in the account's.

    None for more than can be bid.
    """
    micros = read(told.min_to_win)
    worth = None if micros is None else account_micros(micros, told.currency, token, rates)
    return None if worth is None or worth > MAX_CPM_MICROS else worth


def shown_at_ms(text: str, token: BidToken, now_ms: int) -> int | None:
    """Return ``${AUCTION_IMP_TS}``, when the ad was shown; None if not between bid and now."""
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        return None
    told_ms = int(text)
    return told_ms if token.bid_at_ms <= told_ms <= now_ms else None


def left_out(told: ToldMacros, event: Event, token: BidToken) -> list[LeftOut]:
    """Return what was told for macros and came to nothing in ``event``, the bid's; usually none.

    ``AUDIT`` and a macro as it was say that there is nothing to tell, and are not among it.
    """
    found = []
    if told.price and event.unpriced:
        found.append(("price", told.price, "a price as the exchange's settings say, with a rate"))
    if told.currency and not _CODE.fullmatch(told.currency):
        found.append(("currency", told.currency, "an ISO 4217 code such as EUR"))
    if told.loss and event.loss_reason == NOT_TOLD:
        found.append(("loss", told.loss, "one of OpenRTB's loss reason codes"))
    if told.quantity and not _is_quantity(told.quantity):
        found.append(("quantity", told.quantity, "a number above 0"))
    if told.min_to_win and event.min_to_win_micros is None:
        found.append(("min_to_win", told.min_to_win, "a price that can be bid, with a rate"))
    if told.market_bid_ratio and event.market_bid_ratio_ppm is None:
        found.append(("market_bid_ratio", told.market_bid_ratio, "a number of 0 or more"))
    if told.shown_at and event.shown_at_ms is None:
        expected = f"milliseconds since 1970, from the bid's {token.bid_at_ms} to now"
        found.append(("shown_at_ms", told.shown_at, expected))
    return [
        LeftOut(detail, "unreadable", got[:LONGEST_NUMBER], expected)
        for detail, got, expected in found
        if got != _NOT_KNOWN and not is_placeholder(got)
    ]


def _is_quantity(text: str) -> bool:
    told = _decimal(text)
    return told is not None and told > 0


def _decimal(text: str) -> Decimal | None:
    number = read_decimal(text)
    return None if number is None or number.is_signed() else number
