"""Reading the clearing price as exchanges write it: plain, in base64, or encrypted.

Whatever cannot be read is None, unpriced: it is never taken for 0. An encrypted price is 28 bytes
in web-safe base64: a 16-byte initialisation vector, the price in micros as 8 bytes XORed with
HMAC-SHA1(encryption key, vector), and 4 bytes of HMAC-SHA1(integrity key, price + vector). The
scheme is Google's (https://developers.google.com/authorized-buyers/rtb/response-guide/decrypt-price)
and many exchanges'.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

import msgspec

from adctl.money import MAX_CLEARING_MICROS, parse_clearing_price

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadPrice = Callable[[str], int | None]

_VECTOR = slice(0, 16)
_SECRET = slice(16, 24)
_PROOF = slice(24, 28)
_MAX_TEXT = 100
_WEB_SAFE = str.maketrans("+ /", "--_")


class PriceKeys(msgspec.Struct, frozen=True):
    """The two keys an exchange shares with a buyer."""

    encryption: bytes
    integrity: bytes


def price_reader(encoding: str, keys: PriceKeys | None = None) -> ReadPrice:
    """Return what reads a price, in cpm micros, written as ``plain``, ``base64`` or ``encrypted``.

    Raises ValueError for ``encrypted`` without keys.
    """
    if encoding == "encrypted":
        if keys is None:
            raise ValueError("an encrypted price needs both keys")
        return lambda text: _decrypted(text, keys)
    return _from_base64 if encoding == "base64" else parse_clearing_price


def _from_base64(text: str) -> int | None:
    try:
        return parse_clearing_price(_bytes(text).decode("ascii"))
    except UnicodeDecodeError:
        return None


def _decrypted(text: str, keys: PriceKeys) -> int | None:
    message = _bytes(text)
    if len(message) != _PROOF.stop:
        return None
    vector = message[_VECTOR]
    pad = hmac.digest(keys.encryption, vector, hashlib.sha1)
    price = bytes(one ^ other for one, other in zip(message[_SECRET], pad, strict=False))
    proof = hmac.digest(keys.integrity, price + vector, hashlib.sha1)
    if not hmac.compare_digest(proof[:4], message[_PROOF]):
        return None
    return min(int.from_bytes(price), MAX_CLEARING_MICROS)


def _bytes(text: str) -> bytes:
    try:
        # Some write '+', which arrives as a space, and '/', and some leave out the padding.
        plain = text.translate(_WEB_SAFE).rstrip("=")
        return urlsafe_b64decode(plain + "==") if len(text) <= _MAX_TEXT else b""
    except (Base64Error, ValueError):
        return b""
