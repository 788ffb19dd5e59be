"""What is told of a conversion: which order it was, and what it was worth."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from adctl.errors import Fault
from adctl.money import AmountError, parse_nanos

if TYPE_CHECKING:
    from adctl.delivery.currency import Rates

_ORDER = re.compile(r"[\x21-\x7e]{1,64}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")


class Order(msgspec.Struct, frozen=True):
    """An order of an advertiser's; '' and None for what was not told.

    ``value_nanos`` is what it was worth in the account's currency, None also where there is no rate
    to convert by. ``told_value_nanos`` and ``told_currency`` are as told, in another currency.
    """

    order_id: str = ""
    value_nanos: int | None = None
    told_value_nanos: int | None = None
    told_currency: str = ""


NO_ORDER = Order()


def read_order(
    order_id: str, value: str, currency: str, rates: Rates | None
) -> tuple[Order, list[Fault]]:
    """Return what is told of an order, and everything that is wrong with it."""
    faults: list[Fault] = []
    if order_id and not _ORDER.fullmatch(order_id):
        expected = "1 to 64 visible ASCII characters"
        faults.append(Fault("order_id", order_id[:64], expected))
    if currency and not _CURRENCY.fullmatch(currency):
        faults.append(Fault("currency", currency[:16], "an ISO 4217 code such as EUR"))
    if currency and not value:
        faults.append(Fault("value", value, "an amount, where a currency is told"))
    nanos = _nanos(value, faults) if value else None
    if faults or nanos is None:
        return Order(order_id), faults
    code = currency.upper()
    if rates is None or code in ("", rates.account):
        return Order(order_id, nanos), faults
    return Order(order_id, rates.to_account_nanos(nanos, code), nanos, code), faults


def order_digest(advertiser_id: int, order_id: str) -> str:
    """Return the name by which an order is known in event ids: 16 hexadecimal digits."""
    told = f"{advertiser_id}:{order_id}".encode()
    return hashlib.blake2b(told, digest_size=8).hexdigest()


def _nanos(value: str, faults: list[Fault]) -> int | None:
    try:
        nanos = parse_nanos(value)
    except AmountError as exc:
        faults.append(Fault("value", value[:40], str(exc)))
        return None
    if nanos < 0:
        faults.append(Fault("value", value[:40], "an amount of 0 or more"))
    return nanos
