"""Bid requests at a steady rate, and how long the answers take.

Requests go out at moments set beforehand, whatever became of those before, and a wait counts from
its moment on: a server that stands still for a second is charged with every request of that second,
as an exchange would.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PATIENCE_SEC = 2.0
_LOOK_SEC = 0.02
_LOOK_EVERY = 50
_OK, _NO_CONTENT = 200, 204
_MAX_HEAD_BYTES = 64 << 10


class Endpoint(NamedTuple):
    """Where a bidder takes its requests."""

    host: str
    port: int
    path: str
    tls: bool = False

    def request(self, body: bytes) -> bytes:
        """Return a whole HTTP request that posts ``body``."""
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            "Content-Type: application/json\r\nX-OpenRTB-Version: 2.6\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


def read_endpoint(url: str) -> Endpoint | None:
    """Return the endpoint of an http or https URL, None if it is no such URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname, port or (443 if tls else 80), parts.path or "/", tls)


class Load(NamedTuple):
    """What came of a steady rate. ``errors`` are neither bid nor no-bid, by their kind.

    Waits are from the moment a request was due to the end of its answer. ``lag_ms`` is how late the
    99th percentile of requests was because this program was: the rest of a wait is the server's.
    """

    asked_per_sec: float
    seconds: float
    bids: int
    no_bids: int
    errors: Mapping[str, int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    lag_ms: float

    @property
    def answered(self) -> int:
        """Bids and no-bids."""
        return self.bids + self.no_bids

    @property
    def failed(self) -> int:
        """Errors of all kinds."""
        return sum(self.errors.values())

    def holds(self, p99_ms: float) -> bool:
        """Whether nothing failed and 99 of 100 answers came within ``p99_ms``."""
        return not self.failed and self.p99_ms <= p99_ms

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return {
            "asked_per_sec": round(self.asked_per_sec),
            "answered_per_sec": round(self.answered / self.seconds),
            "bids": self.bids,
            "no_bids": self.no_bids,
            "errors": self.failed,
            "p50_ms": round(self.p50_ms, 2),
            "p90_ms": round(self.p90_ms, 2),
            "p99_ms": round(self.p99_ms, 2),
            "p999_ms": round(self.p999_ms, 2),
            "max_ms": round(self.max_ms, 2),
            "lag_ms": round(self.lag_ms, 2),
            "why": ", ".join(f"{kind} {count}" for kind, count in sorted(self.errors.items())),
        }


def post_steadily(
    endpoint: Endpoint,
    bodies: Sequence[bytes],
    per_sec: float,
    seconds: float,
    connections: int = 32,
    going: Callable[[int], bool] = lambda _sent: True,
) -> Load:
    """Post ``bodies`` in turn, ``per_sec`` a second, for ``seconds``, or while ``going``.

    That is asked now and then, with how many have been sent since it was asked last. Raises
    StoreUnavailableError where nobody listens.
    """
    return asyncio.run(
        _Generator(endpoint, bodies, per_sec, connections).run(int(per_sec * seconds), going)
    )


def find_limit(
    measure: Callable[[float], Load], p99_ms: float, first_per_sec: float = 500
) -> Iterator[Load]:
    """Yield what came of rates on the way to the highest that holds, known to a twentieth.

    A rate that does not hold has a second try. The highest is the one with the greatest
    ``asked_per_sec`` that holds; there may be none.
    """
    good, bad, rate = 0.0, 0.0, first_per_sec
    while rate >= 1 and (not bad or not good or bad - good > good / 20):
        tried = measure(rate)
        yield tried
        if not tried.holds(p99_ms):
            tried = measure(rate)
            yield tried
        if tried.holds(p99_ms):
            good = rate
        else:
            bad = rate
        rate = (good + bad) / 2 if good and bad else 2 * good or bad / 2


class _Generator:
    """One run; its connections hand back what they were told."""

    def __init__(
        self, endpoint: Endpoint, bodies: Sequence[bytes], per_sec: float, connections: int
    ) -> None:
        self._endpoint = endpoint
        self._requests = cycle([endpoint.request(body) for body in bodies])
        self._per_sec = per_sec
        self._connections = connections
        self._all: set[_Connection] = set()
        self._free: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._waits: list[float] = []
        self._lags: list[float] = []
        self._told: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, count: int, going: Callable[[int], bool]) -> Load:
        """Send so many requests, wait for the answers, and return what they were like."""
        for _ in range(self._connections):
            await self._connect()
        began = time.perf_counter()
        sent = await self._send(count, began, going)
        seconds = max(time.perf_counter() - began, 1e-9)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SEC):
                await self._idle.wait()
        if self._open:
            self._errors["no answer"] += self._open
        for task in self._tasks:
            task.cancel()
        for connection in self._all:
            connection.close()
        return self._load(seconds if sent < count else count / self._per_sec)

    async def _send(self, count: int, began: float, going: Callable[[int], bool]) -> int:
        for number in range(1, count + 1):
            due = began + (number - 1) / self._per_sec
            left = due - time.perf_counter()
            if left > 0:
                await asyncio.sleep(left)
            self._lags.append(time.perf_counter() - due)
            self._open += 1
            self._idle.clear()
            self._due.append(due)
            self._dispatch()
            if not number % _LOOK_EVERY:
                # Answers must be read even when this program is behind.
                await asyncio.sleep(0)
                if not going(_LOOK_EVERY):
                    return number
        return count

    def _dispatch(self) -> None:
        while self._due and self._free:
            connection = self._free.popleft()
            if connection.alive:
                connection.send(next(self._requests), self._due.popleft())

    async def _connect(self) -> None:
        endpoint = self._endpoint
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self), endpoint.host, endpoint.port, ssl=endpoint.tls or None
            )
        except OSError as exc:
            raise StoreUnavailableError(
                f"nobody answers on {endpoint.host}:{endpoint.port}: "
                f"{os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc}"
            ) from exc
        self._all.add(connection)
        self._free.append(connection)
        self._dispatch()

    async def _connect_again(self) -> None:
        while True:
            try:
                await self._connect()
            except StoreUnavailableError:
                await asyncio.sleep(_LOOK_SEC)
            else:
                return

    def done(self, connection: _Connection, status: int, due: float) -> None:
        """Take note of an answer, and give the connection its next request."""
        self._close_one()
        self._waits.append(time.perf_counter() - due)
        self._told[status] += 1
        self._free.append(connection)
        self._dispatch()

    def lost(self, connection: _Connection, error: str) -> None:
        """Put another connection in the place of one; ``error`` is what its request ended with."""
        if error:
            self._close_one()
            self._errors[error] += 1
        elif connection in self._free:
            self._free.remove(connection)
        self._all.discard(connection)
        task = asyncio.ensure_future(self._connect_again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _close_one(self) -> None:
        self._open -= 1
        if not self._open:
            self._idle.set()

    def _load(self, seconds: float) -> Load:
        errors = {**self._errors}
        for status, count in self._told.items():
            if status not in (_OK, _NO_CONTENT):
                errors[f"status {status}"] = count
        waits, lags = sorted(self._waits) or [0.0], sorted(self._lags) or [0.0]
        p50, p90, p99, p999 = (_part(waits, part) * 1000 for part in (500, 900, 990, 999))
        return Load(
            self._per_sec,
            seconds,
            self._told[_OK],
            self._told[_NO_CONTENT],
            errors,
            p50,
            p90,
            p99,
            p999,
            waits[-1] * 1000,
            _part(lags, 990) * 1000,
        )


def _part(ordered: Sequence[float], thousandths: int) -> float:
    return ordered[len(ordered) * thousandths // 1000]


class _Connection(asyncio.Protocol):
    """One kept connection, with at most one request on its way."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._transport: asyncio.Transport | None = None
        self._due: float | None = None
        self._got = b""
        self._closing = False
        self._why = "connection lost"

    @property
    def alive(self) -> bool:
        """Whether it can be sent on."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP connection has
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send a request whose moment was ``due``."""
        self._due = due
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Collect an answer; tell when it is whole."""
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            if len(self._got) > _MAX_HEAD_BYTES:
                self._hang_up("no HTTP")
            return
        head = self._got[:end].lower()
        try:
            status, length = int(head[9:12]), _body_bytes(head)
        except ValueError:
            self._hang_up("no HTTP")
            return
        if len(self._got) < end + 4 + length:
            return
        due = self._due
        self._got, self._due = b"", None
        if b"\r\nconnection: close" in head and self._transport is not None:
            self._transport.close()
        if due is not None:
            self._generator.done(self, status, due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell, unless it was ours to end."""
        del exc
        if not self._closing:
            self._generator.lost(self, self._why if self._due is not None else "")

    def _hang_up(self, why: str) -> None:
        self._why = why
        if self._transport is not None:
            self._transport.abort()


def _body_bytes(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0
