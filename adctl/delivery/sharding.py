"""Which shard a request's user, money and events are in."""

from __future__ import annotations

from zlib import crc32

MAX_SHARDS = 256
"""The most there can be: a token names its shard in one byte."""


def shard_of(user_hash: str, request_id: str, shards: int) -> int:
    """Return the shard, 0 to ``shards - 1``: the user's, else (no ``user_hash``) the request's.

    A user is always in the same one, because that is where the impressions of a cap are counted.
    ``user_hash`` is hash_user's: 32 hexadecimal digits, evenly spread.
    """
    if shards == 1:
        return 0
    number = int(user_hash[:8], 16) if user_hash else crc32(request_id.encode("utf-8", "replace"))
    return number % shards
