"""Whether a Redis is the one that was confirmed: what it says of itself, shard by shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.stores import keys
from adctl.stores.redis import Script

if TYPE_CHECKING:
    import redis


class RedisMark(NamedTuple):
    """What the server of a shard says: its run id, the mark, and what was confirmed of it."""

    run_id: str
    mark: int
    confirmed: str


def confirmation(generation: int, run_id: str) -> str:
    """Return what a Redis has that was confirmed: trackers compare it, people can read it."""
    return f"{generation} {run_id}"


class RedisMarks:
    """The marks of all shards. Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._advance = Script("advance_mark")
        self._confirm = Script("confirm_server")

    def advance(self, shards: int) -> list[RedisMark]:
        """Move every shard's mark on; return what their servers say, in one round trip.

        Raises StoreUnavailableError.
        """
        calls = [([keys.mark(shard), keys.generation(shard)], ()) for shard in range(shards)]
        return [RedisMark(*reply) for reply in self._advance.run_all(self._redis, calls)]

    def confirm(self, shard: int, generation: int, run_id: str, mark: int) -> bool:
        """Say that a shard's server is right, from ``mark`` on; False if it is another by now.

        Raises StoreUnavailableError.
        """
        named = [keys.mark(shard), keys.generation(shard)]
        told = (run_id, mark, confirmation(generation, run_id))
        return bool(self._confirm.run(self._redis, named, told))
