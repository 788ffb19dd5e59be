"""One connection to Redis for a whole worker, and one round trip for all who need it at once.

For bidder and tracker workers, which are single-threaded: a call that waits holds up all others,
so it is cut off within milliseconds, and a server that has just failed is not asked again at once.
Nothing is ever sent twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import greenlet
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.stores.redis import Script

    Command = tuple[str | int | bytes, ...]

# How long a server that failed is left alone: longer than a stall should be noticed by callers,
# shorter than anyone waits for a recovery.
_OPEN_SEC = 0.25


class HotConnection:
    """A held connection that sends commands as one write and reads their replies.

    After a failure every call fails at once for a quarter of a second (the breaker), then the next
    one tries again with a new connection.
    """

    def __init__(
        self, url: str, timeout_ms: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        timeout_sec = timeout_ms / 1000
        pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=timeout_sec,
            socket_connect_timeout=timeout_sec,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._connection = pool.make_connection()
        self._clock = clock
        self._closed_until = 0.0

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send ``commands``, return their replies; an error reply stands in its place.

        Raises StoreUnavailableError when any reply is missing: what was sent may or may not have
        happened.
        """
        if self._clock() < self._closed_until:
            raise StoreUnavailableError("Redis failed a moment ago")
        try:
            packed = self._connection.pack_commands(commands)
            self._connection.send_packed_command(packed, check_health=False)
            return [self._reply() for _ in commands]
        except (RedisError, OSError) as exc:
            self._connection.disconnect()
            self._closed_until = self._clock() + _OPEN_SEC
            raise StoreUnavailableError(f"Redis did not answer: {exc}") from exc

    def _reply(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as exc:
            return exc

    def close(self) -> None:
        """Hang up."""
        self._connection.disconnect()


class RoundTrips:
    """Shares round trips among the greenlets of one thread; alone, a call goes out by itself."""

    def __init__(self, connection: HotConnection) -> None:
        self._connection = connection
        self.waiting: list[tuple[greenlet.greenlet, Command]] = []

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run a script; its reply. Raises StoreUnavailableError. Call it from a responder."""
        reply = self._send(("EVALSHA", script.sha, len(keys), *keys, *args))
        if isinstance(reply, NoScriptError):
            # Refused before anything ran (a restarted server): sending it whole is no repeat.
            reply = self._send(("EVAL", script.source, len(keys), *keys, *args))
        if isinstance(reply, Exception):
            raise StoreUnavailableError(f"Redis refused {script.name}: {reply}") from reply
        return reply

    def get(self, key: str) -> str | None:
        """Return a string key's value, or None. Raises StoreUnavailableError."""
        reply: str | Exception | None = self._send(("GET", key))
        if isinstance(reply, Exception):
            raise StoreUnavailableError(f"Redis refused GET: {reply}") from reply
        return reply

    def ping(self) -> None:
        """Raise StoreUnavailableError unless the server answers."""
        reply = self._send(("PING",))
        if isinstance(reply, Exception):
            raise StoreUnavailableError(f"Redis is not usable: {reply}") from reply

    def _send(self, command: Command) -> Any:
        me = greenlet.getcurrent()
        if me.parent is None:
            return self._connection.exchange([command])[0]
        self.waiting.append((me, command))
        reply = me.parent.switch()
        if isinstance(reply, StoreUnavailableError):
            raise StoreUnavailableError(str(reply)) from reply
        return reply

    def exchange(self) -> None:
        """Send what all greenlets wait for and resume each with its reply. Called by the loop."""
        waiting, self.waiting = self.waiting, []
        try:
            replies = self._connection.exchange([command for _, command in waiting])
        except StoreUnavailableError as exc:
            replies = [exc] * len(waiting)
        for (waiter, _), reply in zip(waiting, replies, strict=True):
            waiter.switch(reply)
