"""What a tracking URL carries: the bid it belongs to, signed.

A token is ``base64url(payload) "." base64url(tag)``. One HMAC-SHA-512 over the payload is cut into
four tags of 128 bits, one per purpose, so that a browser that holds the URL of an impression
cannot make up a billing notice, nor one that holds a notice a click. (A part of an HMAC is as hard
to guess as its length, RFC 2104 section 5, and tells nothing about the other parts.)

The clearing price is not in the token: the exchange fills it in later. It is clamped to the bid's
own price, which is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.delivery.currency import BidCurrency
from adctl.delivery.place import NOWHERE, Place
from adctl.delivery.token_parts import pack_parts, unpack_parts
from adctl.errors import ExpiredTokenError, ForgedTokenError, FutureTokenError
from adctl.money import ONE_IMPRESSION_PPM, cost_nanos_of

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
_HEAD = struct.Struct(">BBBIIQIQ12s16sBB")
_TAG_BYTES = 16
_FILL = bytes(2)
_TAGS = tuple(slice(at, at + _TAG_BYTES) for at in range(0, 64, _TAG_BYTES))
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_NOBODY = bytes(16)
# The longest that we make has 405: every part, ten caps and the longest names.
_MAX_TOKEN_CHARS = 512
_TAG_CHARS = 22

TOKEN_FORM = re.compile(rf"[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]{{{_TAG_CHARS}}}")
"""What a token looks like; whatever follows is no part of it."""


CLOCKS_APART_SEC = 7_200
"""A bidder's clock that is an hour ahead must not cost its events."""


class Purpose(IntEnum):
    """What a token may be used for; the place of its tag in the HMAC."""

    NOTICE = 0  # win, bill and loss, told by the exchange
    IMPRESSION = 1
    CLICK = 2
    CONVERSION = 3


class BidToken(msgspec.Struct, frozen=True, gc=False):
    """One bid, as its events need it.

    ``price_cpm_micros`` is what was bid for one impression, ``quantity_ppm`` how many impressions
    one display of the ad is, in millionths (imp.qty.multiplier; 1,000,000 but for screens that
    many see). ``reserved_nanos``, in ``bucket``, is the most the bid's events may cost together.
    ``cap_windows`` are the campaign's frequency cap windows in seconds, empty for a user who may
    not be counted; ``user_hash`` is then empty too. A ``test`` bid has nothing reserved.
    ``shard`` is where its money, its user and its events are. ``advertiser_id`` is 0, and ``place``
    nowhere, in tokens of earlier versions. ``clicked_at_ms`` is there in the token that a landing
    page gets at a click.

    Amounts are the account's currency. ``currency`` is what the exchange was told the price in, and
    tells prices in; None for the account's.
    """

    bid_id: str  # 24 hexadecimal digits
    campaign_id: int
    creative_id: int
    exchange: str
    price_cpm_micros: int
    bid_at_ms: int
    bucket: int
    user_hash: str = ""
    cap_windows: tuple[int, ...] = ()
    test: bool = False
    quantity_ppm: int = ONE_IMPRESSION_PPM
    shard: int = 0
    currency: BidCurrency | None = None
    advertiser_id: int = 0
    place: Place = NOWHERE
    clicked_at_ms: int = 0

    @property
    def asked_cpm_micros(self) -> int:
        """The price in the bid's own currency, as the exchange is told it."""
        price = self.price_cpm_micros
        return price if self.currency is None else self.currency.asked_micros(price)

    @property
    def reserved_nanos(self) -> int:
        """What was reserved for the bid: its price for all its impressions."""
        return 0 if self.test else cost_nanos_of(self.price_cpm_micros, self.quantity_ppm)


class Signer:
    """Makes and checks tokens. Holds keys by id; the first signs, all verify.

    Another thread may give it other keys at any moment.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self.hold(keys)

    def hold(self, keys: Mapping[int, bytes]) -> None:
        """Take these keys in place of those before."""
        # Keying once and copying is half the cost of an HMAC over so few bytes.
        keyed = {key_id: hmac.new(key, digestmod=hashlib.sha512) for key_id, key in keys.items()}
        # In this order: what signs is held.
        self._keyed = keyed
        self._signs_with = next(iter(keyed)), keyed[next(iter(keyed))]

    @property
    def signs_with(self) -> int:
        """The id of the key that signs."""
        return self._signs_with[0]

    def sign(self, token: BidToken) -> tuple[str, str, str, str]:
        """Return the token's text for each Purpose, in their order."""
        key_id, keyed = self._signs_with
        payload = self._pack(token, key_id)
        digest = _digest(keyed, payload)
        head = _base64(payload).rstrip("=") + "."
        # All tags in one go, each filled up to whole groups of three bytes: that only adds two
        # characters, which are cut off again.
        tags = _base64(_FILL.join(map(digest.__getitem__, _TAGS)) + _FILL)
        return head + tags[:22], head + tags[24:46], head + tags[48:70], head + tags[72:94]

    def verify(self, text: str, purpose: Purpose, now_ms: int, ttl_sec: int) -> BidToken:
        """Return the token in ``text``.

        Raises ForgedTokenError if it is not one of ours for this purpose, ExpiredTokenError if it
        is but its bid was made (or its ad clicked on) more than ``ttl_sec`` ago, FutureTokenError
        if that is yet to come by more than clocks may differ.
        """
        token = self.proven(text, purpose)
        began_ms = token.clicked_at_ms or token.bid_at_ms
        if now_ms > began_ms + ttl_sec * 1000:
            what = "ad was clicked on" if token.clicked_at_ms else "bid was made"
            raise ExpiredTokenError(f"the {what} more than {ttl_sec} s ago")
        if began_ms > now_ms + CLOCKS_APART_SEC * 1000:
            raise FutureTokenError("the bid has not been made yet: compare the clocks of the hosts")
        return token

    def proven(self, text: str, purpose: Purpose) -> BidToken:
        """Return the token in ``text``, whenever its bid was made; see ``verify``.

        Raises ForgedTokenError.
        """
        payload, tag = _split(text)
        keyed = self._keyed.get(payload[1]) if payload[0] == VERSION else None
        if keyed is None:
            raise ForgedTokenError("a token of another version or key")
        if not hmac.compare_digest(tag, _tag(_digest(keyed, payload), purpose)):
            raise ForgedTokenError("the signature does not fit")
        return _unpack(payload)

    def _pack(self, token: BidToken, key_id: int) -> bytes:
        exchange = token.exchange.encode()
        flags, parts = pack_parts(token)
        head = _HEAD.pack(
            VERSION,
            key_id,
            flags,
            token.campaign_id,
            token.creative_id,
            token.price_cpm_micros,
            token.bucket,
            token.bid_at_ms,
            bytes.fromhex(token.bid_id),
            bytes.fromhex(token.user_hash) if token.user_hash else _NOBODY,
            len(exchange),
            len(token.cap_windows),
        )
        caps = token.cap_windows
        windows = struct.pack(f">{len(caps)}I", *caps) if caps else b""
        return head + exchange + windows + parts


def _digest(keyed: hmac.HMAC, payload: bytes) -> bytes:
    mine = keyed.copy()
    mine.update(payload)
    return mine.digest()


def _base64(raw: bytes) -> str:
    # What base64.urlsafe_b64encode does, in half its time.
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).decode()


def _tag(digest: bytes, purpose: Purpose) -> bytes:
    return digest[purpose * _TAG_BYTES : (purpose + 1) * _TAG_BYTES]


def _split(text: str) -> tuple[bytes, bytes]:
    head, _, tail = text.partition(".")
    try:
        if len(head) > _MAX_TOKEN_CHARS:
            raise ForgedTokenError("too long for a token")
        payload = urlsafe_b64decode(head.encode("ascii") + b"==")
        tag = urlsafe_b64decode(tail[:_TAG_CHARS].encode("ascii") + b"==")
    except (Base64Error, ValueError) as exc:
        raise ForgedTokenError("not a token") from exc
    if len(payload) < _HEAD.size or len(tag) != _TAG_BYTES:
        raise ForgedTokenError("cut short")
    return payload, tag


def _unpack(payload: bytes) -> BidToken:
    """Read a payload whose signature has been checked, so its lengths are our own.

    Raises ForgedTokenError if it cannot be read all the same.
    """
    head = _HEAD.unpack_from(payload)
    _, _, flags, campaign_id, creative_id, price, bucket, bid_at_ms, bid, user, n, windows = head
    caps = _HEAD.size + n
    try:
        fields: dict[str, Any] = unpack_parts(flags, payload, caps + windows * 4)
        return BidToken(
            bid_id=bid.hex(),
            campaign_id=campaign_id,
            creative_id=creative_id,
            exchange=payload[_HEAD.size : caps].decode(),
            price_cpm_micros=price,
            bid_at_ms=bid_at_ms,
            bucket=bucket,
            user_hash="" if user == _NOBODY else user.hex(),
            cap_windows=struct.unpack_from(f">{windows}I", payload, caps),
            **fields,
        )
    except (ValueError, struct.error) as exc:
        raise ForgedTokenError("a token that cannot be read") from exc


def hash_user(user_key: bytes, user_id: str) -> str:
    """Return the only form in which a user id is ever stored: its keyed hash, 32 hex digits."""
    return hashlib.blake2b(
        user_id.encode("utf-8", "replace"), key=user_key, digest_size=16
    ).hexdigest()
