"""The keys with which advertisers report conversions of their users: each has its own.

``<advertiser id>.p<number>.<tag>``: it says who reports, not of which ad. It stands in advertisers'
pages and servers, and counts until it is retired, whatever becomes of the keys that sign tokens. It
is signed under the key that users are hashed with: it tells of users by that hash, so what would
end the one ends the other, and every host has it already.

``<advertiser id>.<key id>.<tag>`` is the older way, signed with the signing key of that id. It
counts for as long as that key does.
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

_TAG_BYTES = 16
FIRST_NUMBER = 1

KEY_FORM = re.compile(r"[0-9]{1,10}\.p?[0-9]{1,10}\.[A-Za-z0-9_\-]{22}")
"""What a key looks like; whatever follows is no part of it."""

_WHOLE = re.compile(r"([0-9]{1,10})\.(p?)([0-9]{1,10})\.([A-Za-z0-9_\-]{22})", re.ASCII)


class AdvertiserKeys:
    """Makes and checks advertisers' keys. Another thread may tell what is retired, or hold keys.

    ``retired`` has the names of keys that do not count any more, such as ``7.p2``.
    """

    def __init__(self, user_key: bytes, signing_keys: Mapping[int, bytes] | None = None) -> None:
        # The words keep it apart from everything else that is made with the key.
        self._root = hmac.new(user_key, b"advertisers' pixel keys", hashlib.sha512).digest()
        self._signing_keys = signing_keys or {}
        self.retired: frozenset[str] = frozenset()
        self._used: set[str] = set()
        self._used_before: set[str] = set()

    def hold(self, signing_keys: Mapping[int, bytes]) -> None:
        """Check keys of the older way with these signing keys."""
        self._signing_keys = signing_keys

    def key_of(self, advertiser_id: int, number: int = FIRST_NUMBER) -> str:
        """Return an advertiser's key of that number."""
        return f"{name_of(advertiser_id, number)}.{self._tag(advertiser_id, number)}"

    def verify(self, text: str) -> int:
        """Return the advertiser whose key it is, and note its use. Raises ForgedTokenError."""
        parts = _WHOLE.fullmatch(text)
        if parts is None:
            raise ForgedTokenError("not an advertiser's key")
        advertiser_id, number = int(parts[1]), int(parts[3])
        signing_keys = self._signing_keys
        if parts[2]:
            expected = self._tag(advertiser_id, number)
        elif number in signing_keys:
            expected = _older_tag(signing_keys[number], advertiser_id)
        else:
            raise ForgedTokenError("an advertiser's key of another signing key")
        if not hmac.compare_digest(parts[4], expected):
            raise ForgedTokenError("the signature does not fit")
        name = f"{advertiser_id}.{parts[2]}{number}"
        if name in self.retired:
            raise ForgedTokenError("an advertiser's key that was retired")
        self._used.add(name)
        return advertiser_id

    def take_used(self) -> set[str]:
        """Return the names of the keys that were used up to the call before this one.

        For one thread beside the one that verifies: what is returned is not written any more.
        """
        taken, self._used_before = self._used_before, self._used
        self._used = set()
        return taken

    def _tag(self, advertiser_id: int, number: int) -> str:
        return _text(hmac.new(self._root, f"{advertiser_id}:{number}".encode(), hashlib.sha512))


def name_of(advertiser_id: int, number: int) -> str:
    """Return what a key is called, without what proves it."""
    return f"{advertiser_id}.p{number}"


def older_key_of(signing_key_id: int, signing_key: bytes, advertiser_id: int) -> str:
    """Return an advertiser's key of the older way. None is given out any more."""
    return f"{advertiser_id}.{signing_key_id}.{_older_tag(signing_key, advertiser_id)}"


def _older_tag(signing_key: bytes, advertiser_id: int) -> str:
    told = f"advertiser's conversions:{advertiser_id}".encode()
    return _text(hmac.new(signing_key, told, hashlib.sha512))


def _text(digest: hmac.HMAC) -> str:
    return urlsafe_b64encode(digest.digest()[:_TAG_BYTES]).rstrip(b"=").decode()
