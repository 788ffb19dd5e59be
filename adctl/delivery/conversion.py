"""What is told of a conversion: which order it was, and what it was worth.

Whoever fills in a shop's tag is nobody we can ask. What cannot be read is left out, and said; the
conversion counts for the rest.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.details import LeftOut
from adctl.delivery.placeholders import is_no_id, is_placeholder
from adctl.money import MAX_AMOUNT_NANOS, NANOS_PER_UNIT, read_decimal

if TYPE_CHECKING:
    from adctl.delivery.currency import Rates

_LONGEST_ID = 64
_KEPT_OF_LONG_ID = 31
_CURRENCY = re.compile(r"[A-Za-z]{3}")
# Marks between thousands that are never a decimal point: blanks (also those that do not break, and
# narrow ones) and apostrophes.
_SPACED = re.compile(r"[0-9]{1,3}(?:[ '\u00a0\u2009\u202f\u2019][0-9]{3})+(?=[.,]|$)")
_NOT_DIGITS = re.compile(r"[^0-9]")
# A comma before whatever is no group of three, or behind a lone 0, is a decimal one.
_DECIMAL_COMMA = re.compile(r"(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)")
_COMMAS_AND_POINT = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*|[0-9]{1,3}(?:,[0-9]{3}){2,}")
_POINTS_AND_COMMA = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*|[0-9]{1,3}(?:\.[0-9]{3}){2,}")


class Order(msgspec.Struct, frozen=True):
    """An order of an advertiser's; '' and None for what was not told.

    ``value_nanos`` is what it was worth in the account's currency, None also where there is no rate
    to convert by. ``told_value_nanos`` and ``told_currency`` are as told, in another currency, or
    one that could not be read ('').
    """

    order_id: str = ""
    value_nanos: int | None = None
    told_value_nanos: int | None = None
    told_currency: str = ""


NO_ORDER = Order()


def read_order(
    order_id: str, value: str, currency: str, rates: Rates | None
) -> tuple[Order, list[LeftOut]]:
    """Return what can be read of an order, and what is left out."""
    if not (order_id or value or currency):
        return NO_ORDER, []
    left_out: list[LeftOut] = []
    known_as = read_order_id(order_id)
    if order_id and not known_as:
        left_out.append(LeftOut("order_id", "placeholder", order_id[:40], "the order's own id"))
    told = currency.strip()
    code = told.upper() if _CURRENCY.fullmatch(told) and not is_placeholder(told) else ""
    if told and not code:
        expected = "an ISO 4217 code such as EUR"
        left_out.append(LeftOut("currency", _why_not(told), currency[:16], expected))
    nanos = _value(value, left_out, needed=bool(told))
    if nanos is None:
        return Order(known_as), left_out
    if told and not code:
        # In what it is nobody knows: kept as told, and not counted.
        return Order(known_as, None, nanos), left_out
    if rates is None or code in ("", rates.account):
        return Order(known_as, nanos), left_out
    return Order(known_as, rates.to_account_nanos(nanos, code), nanos, code), left_out


def read_order_id(told: str) -> str:
    """Return the form in which an order's id is kept: the same for the same order, '' for none.

    Blanks around it go, those in it are one space each, and composed letters are in Unicode's form
    C. Up to 64 characters are kept so. A longer one, or one with what cannot be printed, is its
    first 31 characters and a digest of it all.
    """
    text = " ".join(unicodedata.normalize("NFC", told).split())
    if is_no_id(text):
        return ""
    if len(text) <= _LONGEST_ID and text.isprintable():
        return text
    begins = "".join([one if one.isprintable() else "?" for one in text[:_KEPT_OF_LONG_ID]])
    whole = text.encode("utf-8", "replace")
    return f"{begins}~{hashlib.blake2b(whole, digest_size=16).hexdigest()}"


def read_value(told: str) -> int | None:
    """Return an order's value in nanos, a fraction of one dropped; None if it cannot be read.

    A decimal point is a point. Commas, points and blanks between thousands are read as people write
    them where they can mean one thing only: ``12,50`` and ``1.299,00`` can, ``1,299`` cannot. It
    may be negative; more than an amount can be is None.
    """
    text = told.strip()
    if len(text) > _LONGEST_ID:
        return None
    sign, text = ("-", text[1:]) if text.startswith(("-", "\u2212")) else ("", text)
    spaced = _SPACED.match(text)
    if spaced:
        text = _NOT_DIGITS.sub("", spaced[0]) + text[spaced.end() :]
    if _DECIMAL_COMMA.fullmatch(text) or (spaced and text.count(",") == 1 and "." not in text):
        text = text.replace(",", ".")
    elif _COMMAS_AND_POINT.fullmatch(text):
        text = text.replace(",", "")
    elif _POINTS_AND_COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    amount = read_decimal(sign + text)
    if amount is None or amount.adjusted() > _LONGEST_ID:
        return None
    nanos = int(amount * NANOS_PER_UNIT)
    return nanos if abs(nanos) <= MAX_AMOUNT_NANOS else None


def order_digest(advertiser_id: int, order_id: str) -> str:
    """Return the name by which an order is known in event ids: 16 hexadecimal digits."""
    told = f"{advertiser_id}:{order_id}".encode("utf-8", "replace")
    return hashlib.blake2b(told, digest_size=8).hexdigest()


def _value(told: str, left_out: list[LeftOut], *, needed: bool) -> int | None:
    expected = "an amount of 0 or more, such as 12.50"
    if not told.strip():
        if needed:
            left_out.append(LeftOut("value", "empty", told[:40], expected))
        return None
    nanos = read_value(told)
    if nanos is not None and nanos >= 0:
        return nanos
    reason = "negative" if nanos is not None else _why_not(told)
    left_out.append(LeftOut("value", reason, told[:40], expected))
    return None


def _why_not(told: str) -> str:
    return "placeholder" if is_placeholder(told) else "unreadable"
