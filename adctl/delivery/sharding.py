"""Which shard a bid's user, money and events are in."""

from __future__ import annotations

MAX_SHARDS = 256
"""The most there can be: a token names its shard in one byte."""


def shard_of(user_hash: str, shards: int) -> int:
    """Return a user's shard, 0 to ``shards - 1``.

    Always the same one, because that is where the impressions of a cap are counted. ``user_hash``
    is hash_user's: 32 hexadecimal digits, evenly spread.
    """
    return int(user_hash[:8], 16) % shards
