"""In how many shards Redis has its data: whoever reads it with another number finds half of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.errors import ConfigError, Fault
from adctl.stores import keys
from adctl.stores.redis import redis_errors

if TYPE_CHECKING:
    import redis


def require_shards(client: redis.Redis, shards: int) -> None:
    """Return if Redis has its data in this many shards, or none yet: then this is the number.

    Raises ConfigError if it has another, StoreUnavailableError.
    """
    with redis_errors("ask for the number of shards"):
        found = client.set(keys.SHARDS, shards, nx=True, get=True)
    if found is not None and int(str(found)) != shards:
        expected = (
            f"{found!s}, as the data in Redis has it; docs/operations.md says how to change it"
        )
        raise ConfigError("configuration", [Fault("redis.shards", str(shards), expected)])
