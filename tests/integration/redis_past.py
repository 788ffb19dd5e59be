"""Setting a Redis back to what it held before, within one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis


class Past:
    """Everything a Redis holds at one moment, to be set back to."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        raw = client.connection_pool.connection_kwargs | {"decode_responses": False}
        self._raw = type(client)(**{name: raw[name] for name in ("host", "port", "password", "db")})
        self._held = {
            key: (self._raw.dump(key), max(0, self._raw.pttl(key))) for key in self._raw.scan_iter()
        }

    def come_back(self) -> None:
        self._client.flushall()
        for key, (value, ttl_ms) in self._held.items():
            self._raw.restore(key, ttl_ms, value)
