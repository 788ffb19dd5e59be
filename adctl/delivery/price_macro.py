"""Reading the clearing price as exchanges write it: plain, in base64, or encrypted.

Whatever cannot be read is None, unpriced: it is never taken for 0. An encrypted price is 28 bytes
in web-safe base64: a 16-byte initialisation vector, the price as 8 bytes XORed with
HMAC-SHA1(encryption key, vector), and 4 bytes of HMAC-SHA1(integrity key, price + vector). The
scheme is Google's (https://developers.google.com/authorized-buyers/rtb/response-guide/decrypt-price)
and many exchanges'.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.config_keys import parse_price_keys
from adctl.money import (
    LONGEST_NUMBER,
    MAX_CLEARING_MICROS,
    MICROS_PER_UNIT,
    parse_clearing_price,
)

if TYPE_CHECKING:
    from adctl.config_exchange import ExchangeSettings

ReadPrice = Callable[[str], int | None]
_PPM = 1_000_000

_VECTOR = slice(0, 16)
_SECRET = slice(16, 24)
_PROOF = slice(24, 28)
_MAX_TEXT = 100
# ${AUCTION_PRICE}, {price}, %%WINNING_PRICE%%, [PRICE], and the same with its marks encoded.
_MACRO = re.compile(r"[{}\[\]()]|%%|%(?:25|7[BbDd]|5[BbDd]|24)")
_WEB_SAFE = str.maketrans("+ /", "--_")


class PriceKeys(msgspec.Struct, frozen=True):
    """The two keys an exchange shares with a buyer."""

    encryption: bytes
    integrity: bytes


# How many micros of a CPM one of what is told is.
MICROS_OF_UNIT = {
    "cpm": MICROS_PER_UNIT,
    "cpm_cents": MICROS_PER_UNIT // 100,
    "cpm_micros": 1,
    "impression": MICROS_PER_UNIT * 1000,
    "impression_micros": 1000,
}


class PriceReader(NamedTuple):
    """What reads prices that are told, in cpm micros: the one that is charged, and all others."""

    charged: ReadPrice
    plain: ReadPrice


PLAIN_CPM = PriceReader(parse_clearing_price, parse_clearing_price)


def price_reader(
    encoding: str, keys: PriceKeys | None = None, unit: str = "", fee_ppm: int = 0
) -> PriceReader:
    """Return what reads prices that are written as ``plain``, ``base64`` or ``encrypted``.

    ``unit`` is one of MICROS_OF_UNIT; '' for what is usual: a CPM, in micros where it is encrypted.
    ``fee_ppm`` millionths of what is charged are missing from a price: the fee was taken off it.
    A fraction of a micro is dropped, but what a fee adds is rounded up. All other prices come in
    the same unit, never encoded; where the one charged is encrypted, as a CPM.

    Raises ValueError for ``encrypted`` without keys.
    """
    if encoding == "encrypted" and keys is None:
        raise ValueError("an encrypted price needs both keys")
    micros = MICROS_OF_UNIT[unit or ("cpm_micros" if encoding == "encrypted" else "cpm")]
    in_unit = _in_unit(micros)
    charged: ReadPrice = in_unit
    plain: ReadPrice = in_unit
    if encoding == "encrypted" and keys is not None:
        charged, plain = partial(_decrypted, keys=keys, micros=micros), parse_clearing_price
    elif encoding == "base64":
        charged = partial(_from_base64, read=in_unit)
    return PriceReader(*(_with_fee(read, fee_ppm) for read in (charged, plain)))


def price_reader_of(exchange: ExchangeSettings) -> PriceReader:
    """Return what reads an exchange's prices, as its section says."""
    form, keys = exchange.price_form, exchange.price_keys.get_secret_value()
    pair = PriceKeys(*parse_price_keys(keys)) if keys else None
    return price_reader(form.encoding, pair, form.unit, form.fee_ppm)


def why_unreadable(exchange: ExchangeSettings, text: str) -> str:
    """Return what is wrong with a price that the exchange's reader makes nothing of."""
    form = exchange.price_form
    if not text.strip() or text == "AUDIT":
        return "it says that there is no price"
    if text == form.macro or _MACRO.search(text):
        return "the macro was not replaced: look at price_macro"
    if len(text) > (LONGEST_NUMBER if form.encoding == "plain" else _MAX_TEXT):
        return "longer than any price: look at price_encoding"
    if form.encoding != "encrypted":
        what = "in base64 " if form.encoding == "base64" else ""
        return f"not a number of 0 or more {what}as it should be: look at price_encoding"
    if len(_bytes(text)) != _PROOF.stop:
        return f"not {_PROOF.stop} bytes in base64 as it should be: look at price_encoding"
    return "the keys do not fit: look at price_keys"


def _in_unit(micros: int) -> ReadPrice:
    # Nearly all are told as a CPM: nothing stands between them and what reads it.
    return parse_clearing_price if micros == MICROS_PER_UNIT else partial(_scaled, micros=micros)


def _scaled(text: str, micros: int) -> int | None:
    return parse_clearing_price(text, micros)


def _with_fee(read: ReadPrice, fee_ppm: int) -> ReadPrice:
    if not fee_ppm:
        return read

    def read_with_fee(text: str) -> int | None:
        price = read(text)
        if price is None:
            return None
        return min(-(-price * _PPM // (_PPM - fee_ppm)), MAX_CLEARING_MICROS)

    return read_with_fee


def _from_base64(text: str, read: ReadPrice) -> int | None:
    try:
        return read(_bytes(text).decode("ascii"))
    except UnicodeDecodeError:
        return None


def _decrypted(text: str, keys: PriceKeys, micros: int) -> int | None:
    message = _bytes(text)
    if len(message) != _PROOF.stop:
        return None
    vector = message[_VECTOR]
    pad = hmac.digest(keys.encryption, vector, hashlib.sha1)
    price = bytes(one ^ other for one, other in zip(message[_SECRET], pad, strict=False))
    proof = hmac.digest(keys.integrity, price + vector, hashlib.sha1)
    if not hmac.compare_digest(proof[:4], message[_PROOF]):
        return None
    return min(int.from_bytes(price) * micros, MAX_CLEARING_MICROS)


def _bytes(text: str) -> bytes:
    if len(text) > _MAX_TEXT:
        return b""
    try:
        # Some write '+', which arrives as a space, and '/', and some leave out the padding. What is
        # no digit of base64 is no price: else a macro as it was could be read as one.
        plain = text.translate(_WEB_SAFE).rstrip("=")
        return b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        return b""
