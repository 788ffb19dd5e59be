"""The key with which an advertiser reports conversions of its users: signed, and for good.

``<advertiser id>.<key id>.<tag>``: it says who reports, not of which ad. It stands in advertisers'
pages and servers, so it lives as long as the signing key does.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from adctl.errors import ForgedTokenError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_CHARS = 64
_TAG_BYTES = 16

KEY_FORM = re.compile(r"[0-9]{1,10}\.[0-9]{1,10}\.[A-Za-z0-9_\-]{22}")
"""What a key looks like; whatever follows is no part of it."""


class AdvertiserKeys:
    """Makes and checks advertisers' keys. Holds keys by id; the first signs, all verify."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)

    def key_of(self, advertiser_id: int) -> str:
        """Return an advertiser's key."""
        key_id = next(iter(self._keys))
        return f"{advertiser_id}.{key_id}.{self._tag(key_id, advertiser_id)}"

    def verify(self, text: str) -> int:
        """Return the advertiser whose key it is. Raises ForgedTokenError."""
        parts = text.split(".")
        numbers = parts[:2]
        if len(text) > _MAX_CHARS or len(parts) != 3 or not all(map(_is_number, numbers)):
            raise ForgedTokenError("not an advertiser's key")
        advertiser_id, key_id = map(int, numbers)
        if key_id not in self._keys:
            raise ForgedTokenError("an advertiser's key of another signing key")
        if not hmac.compare_digest(parts[2].encode(), self._tag(key_id, advertiser_id).encode()):
            raise ForgedTokenError("the signature does not fit")
        return advertiser_id

    def _tag(self, key_id: int, advertiser_id: int) -> str:
        # The words keep it apart from everything else that is signed with the key.
        told = f"advertiser's conversions:{advertiser_id}".encode()
        digest = hmac.new(self._keys[key_id], told, hashlib.sha512).digest()
        return urlsafe_b64encode(digest[:_TAG_BYTES]).rstrip(b"=").decode()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10
