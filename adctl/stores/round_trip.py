"""One connection to Redis for a whole worker, and one round trip for all who need it at once.

For bidder and tracker workers, which are single-threaded: a call that waits holds up all others,
so it is cut off within milliseconds, and a server that has just failed is not asked again at once.
Nothing is ever sent twice.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import greenlet
import hiredis
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Sized

    from adctl.stores.redis import Script, ScriptCall

    Command = tuple[str | int | bytes, ...]

# How long a server that failed is left alone: longer than a stall should be noticed by callers,
# shorter than anyone waits for a recovery. To ask one that refuses costs nothing; one that says
# nothing costs everybody the timeout, so it is asked ever more rarely.
_OPEN_SEC = 0.25
_LONGEST_OPEN_SEC = 1.0
# As many commands are worth a write of their own: Redis works on them while the next are made.
_AHEAD = 4


SERVER_ID = "the run id of the server"
"""Stands last in a command for the id of the server that the command is sent to."""

_RUN_ID = re.compile(r"run_id:([0-9a-f]+)")


class HotConnection:
    """A held connection that sends commands as one write and reads their replies.

    After a failure every call fails at once for a quarter of a second (the breaker), then the next
    one tries again with a new connection. Where all that comes of it is silence, the pause doubles,
    up to a second.
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
        self._connection.register_connect_callback(self._ask_who_it_is)
        # None while there is no connection.
        self._server_id: str | None = None
        self._clock = clock
        self._closed_until = 0.0
        self._open_sec = _OPEN_SEC

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send ``commands``, return their replies; an error reply stands in its place.

        Raises StoreUnavailableError when any reply is missing: what was sent may or may not have
        happened.
        """
        self.send(commands)
        return self.receive(len(commands))

    def begin(self, commands: Sequence[Command]) -> Callable[[], list[Any]]:
        """Send ``commands``; return what receives their replies. Both raise as exchange does.

        Replies come in the order of what was begun. Where one is missing, so are all after it.
        """
        self.send(commands)
        return partial(self.receive, len(commands))

    @property
    def failing(self) -> bool:
        """Whether the server failed a moment ago, so that nothing is sent to it now."""
        return self._clock() < self._closed_until

    def send(self, commands: Sequence[Command]) -> None:
        """Send ``commands``, whose replies have to be received next. Raises as exchange does."""
        if self.failing:
            raise StoreUnavailableError("Redis failed a moment ago")
        try:
            if self._server_id is None:
                self._connection.connect()
            # Half of what the client's own packing takes, which looks at every argument first.
            # (Its types take tuples of one only.)
            packed = [
                hiredis.pack_command(
                    (*command[:-1], self._server_id) if command[-1] is SERVER_ID else command  # type: ignore[arg-type]
                )
                for command in commands
            ]
            # As one: the client makes two calls of the system for each that it is given.
            self._connection.send_packed_command([b"".join(packed)], check_health=False)
        except (RedisError, OSError) as exc:
            raise self._failed(exc) from exc

    def receive(self, count: int) -> list[Any]:
        """Return the replies to the ``count`` commands that were sent. Raises as exchange does."""
        try:
            replies = [self._reply() for _ in range(count)]
        except (RedisError, OSError) as exc:
            raise self._failed(exc) from exc
        self._open_sec = _OPEN_SEC
        return replies

    def _ask_who_it_is(self, connection: redis.Connection) -> None:
        """Learn which server this connection leads to; '' from one that does not tell."""
        connection.send_command("INFO", "server", check_health=False)
        try:
            found = _RUN_ID.search(str(connection.read_response()))
        except ResponseError:
            found = None
        self._server_id = found[1] if found else ""

    def _failed(self, exc: Exception) -> StoreUnavailableError:
        self.close()
        self._closed_until = self._clock() + self._open_sec
        if isinstance(exc, (redis.TimeoutError, TimeoutError)):
            self._open_sec = min(self._open_sec * 2, _LONGEST_OPEN_SEC)
        return StoreUnavailableError(f"Redis did not answer: {exc}")

    def _reply(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as exc:
            return exc

    def close(self) -> None:
        """Hang up."""
        self._server_id = None
        self._connection.disconnect()


class Exchange(Protocol):
    """A connection, or several as one."""

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send ``commands``, return their replies; an error stands in the place of its reply.

        Raises StoreUnavailableError if that is so of all.
        """

    def begin(self, commands: Sequence[Command]) -> Callable[[], list[Any]]:
        """Return what does the rest of exchange; until then the server may be at work already."""

    def close(self) -> None:
        """Hang up."""


class _Round:
    """Those who ask together and are told together; ``lost`` is why they will be told nothing."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[list[Any]], object], Sequence[Command]]] = []
        self.begun: list[Callable[[], list[Any]]] = []
        self.lost: StoreUnavailableError | None = None


class RoundTrips:
    """Shares round trips among all who ask in a turn; alone, a call goes out by itself.

    Who asks is a greenlet, which waits, or names what to call with the reply. What is waited for is
    sent by fours, so that Redis is at work while others still ask. A round may be closed before it
    is read: who asks later is told later.
    """

    def __init__(self, connection: Exchange) -> None:
        self._connection = connection
        # The last is open.
        self._rounds = [_Round()]
        self._unsent: list[Command] = []

    @property
    def waiting(self) -> Sized:
        """Who is told at the next exchange."""
        return self._rounds[0].waiting

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Run a script; its reply. Raises StoreUnavailableError. Call it from a responder."""
        reply = self._send(("EVALSHA", script.sha, len(keys), *keys, *args))
        if isinstance(reply, NoScriptError):
            # Refused before anything ran (a restarted server): sending it whole is no repeat.
            reply = self._send(("EVAL", script.source, len(keys), *keys, *args))
        if isinstance(reply, Exception):
            raise StoreUnavailableError(f"Redis refused {script.name}: {reply}") from reply
        return reply

    def run_for(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int | bytes],
        resume: Callable[[Any], object],
    ) -> None:
        """Run a script in the turn's round trip; ``resume`` is called with its reply.

        Or with the StoreUnavailableError that run would raise.
        """
        by_hash = ("EVALSHA", script.sha, len(keys), *keys, *args)

        def ran(replies: list[Any]) -> None:
            [reply] = replies
            if isinstance(reply, NoScriptError):
                whole = ("EVAL", script.source, *by_hash[2:])
                self._ask((whole,), lambda replies: resume(_usable(script, *replies)))
            else:
                resume(_usable(script, reply))

        self._ask((by_hash,), ran)

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts in their order, in one round trip; the replies.

        StoreUnavailableError stands in the place of a reply that is missing.
        """
        by_hash = [("EVALSHA", script.sha, len(keys), *keys, *args) for script, keys, args in calls]
        replies = self._send_all(by_hash)
        refused = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if refused:
            whole = [("EVAL", calls[n][0].source, *by_hash[n][2:]) for n in refused]
            for n, reply in zip(refused, self._send_all(whole), strict=True):
                replies[n] = reply
        return [
            StoreUnavailableError(f"Redis refused {call[0].name}: {reply}")
            if isinstance(reply, RedisError)
            else reply
            for call, reply in zip(calls, replies, strict=True)
        ]

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
        [reply] = self._send_all((command,))
        if isinstance(reply, StoreUnavailableError):
            raise StoreUnavailableError(str(reply)) from reply
        return reply

    def _send_all(self, commands: Sequence[Command]) -> list[Any]:
        me = greenlet.getcurrent()
        if me.parent is None:
            return self._exchange(commands)
        self._ask(commands, me.switch)
        replies: list[Any] = me.parent.switch()
        return replies

    def _ask(self, commands: Sequence[Command], resume: Callable[[list[Any]], object]) -> None:
        self._rounds[-1].waiting.append((resume, commands))
        self._unsent += commands
        if len(self._unsent) >= _AHEAD:
            self._begin()

    def close_round(self) -> None:
        """Send what has been asked, and have it read at an exchange of its own."""
        self._begin()
        if self._rounds[-1].waiting:
            self._rounds.append(_Round())

    def exchange(self) -> None:
        """Tell those of the oldest round their replies. Called by the loop."""
        if len(self._rounds) == 1:
            self.close_round()
        if len(self._rounds) > 1:
            self._tell(self._rounds.pop(0))

    def _tell(self, oldest: _Round) -> None:
        replies: list[Any] = []
        try:
            if oldest.lost is None:
                for receive in oldest.begun:
                    replies += receive()
        except StoreUnavailableError as exc:
            oldest.lost = exc
            self._lose(exc)
        at = 0
        for resume, commands in oldest.waiting:
            at, begin = at + len(commands), at
            told = replies[begin:at]
            resume(told + [oldest.lost] * (len(commands) - len(told)))

    def _begin(self) -> None:
        """Send what has not been sent, unless something before it is lost."""
        unsent, self._unsent = self._unsent, []
        current = self._rounds[-1]
        if current.lost is not None or not unsent:
            return
        try:
            current.begun.append(self._connection.begin(unsent))
        except StoreUnavailableError as exc:
            self._lose(exc)

    def _lose(self, exc: StoreUnavailableError) -> None:
        """Take note that no reply will come to what has been sent.

        A connection that fails takes with it all that was sent on it. Nothing more is read for
        those who wait, so that no reply is taken for another.
        """
        for one in self._rounds:
            if one.waiting:
                one.lost, one.begun = exc, []

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return self._connection.exchange(commands)
        except StoreUnavailableError as exc:
            return [exc] * len(commands)


def _usable(script: Script, reply: Any) -> Any:
    if isinstance(reply, Exception) and not isinstance(reply, StoreUnavailableError):
        return StoreUnavailableError(f"Redis refused {script.name}: {reply}")
    return reply
