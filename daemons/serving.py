"""waitress, run by our own loop: it drains, drops stuck requests, and can do without threads.

The loop is waitress' own (``wasyncore.poll`` over its map of channels) with four things added:
a turn of queued work after every poll, an end that answers what was accepted, a limit on how long
a request may take to arrive, and one on how much of its body is held. What leans on waitress'
private parts is here and in turns.py only, and held by tests/integration/test_serving.py.
"""

from __future__ import annotations

import socket
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import FixedStreamReceiver
from waitress.task import WSGITask
from waitress.utilities import RequestEntityTooLarge

from adctl.errors import ConflictError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

# Connections one process may hold; beyond it the kernel's backlog waits.
CONNECTION_LIMIT = 4000
IDLE_TIMEOUT_SEC = 60
ARRIVAL_TIMEOUT_SEC = 10.0
DRAIN_SEC = 10
_WAIT_SEC = 0.2
_SWEEP_SEC = 1.0
# What chunks may add to a body, besides a quarter of it.
_FRAMING_BYTES = 4 << 10


class KeepAliveTask(WSGITask):  # type: ignore[misc]
    """A task that keeps the connection after an answer that may have no body.

    Stock waitress closes after every 204, because there is no Content-Length; but a 204 ends with
    its headers (RFC 9112, 6.3), so there is nothing a client could misread.
    """

    def set_close_on_finish(self) -> None:
        """Close only if the client asked for it, or could not tell where the answer ends."""
        connection = self.request.headers.get("CONNECTION", "").lower()
        if self.has_body or self.version != "1.1" or connection == "close":
            super().set_close_on_finish()


class Unkept:
    """A buffer that forgets what it is given."""

    def append(self, data: bytes) -> None:
        """Forget ``data``."""

    def __len__(self) -> int:
        return 0

    def getfile(self) -> BytesIO:
        """Return an empty file."""
        return BytesIO()

    def close(self) -> None:
        """Part of waitress' interface; there is nothing to close."""


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request on its way in, of which no more is held than will be read.

    A body announced as longer than is kept arrives as an empty one, with its Content-Length: the
    app can refuse it, and the connection goes on. One in chunks does not say how long it will be:
    it is cut off, also when the chunks are so small that taking them apart is the work.
    """

    completed = False

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header; know by it what of the body to keep."""
        super().parse_header(header_plus)
        if self.content_length > self.adj.kept_body_bytes:
            self.body_rcv = FixedStreamReceiver(self.content_length, Unkept())

    def received(self, data: bytes) -> int:
        """Take in ``data``; return how much of it belongs to this request."""
        consumed: int = super().received(data)
        if self.chunked and not self.completed:
            held = len(self.body_rcv)
            framing = self.body_bytes_received - held
            if held > self.adj.kept_body_bytes or framing > _FRAMING_BYTES + held // 4:
                self.error = RequestEntityTooLarge("too large, or in too many chunks")
                self.completed = True
        return consumed


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection of a client."""

    task_class = KeepAliveTask
    parser_class = Parser
    arriving: Parser | None = None
    arriving_since = 0.0


def bind(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket. Raises ConflictError where the address cannot be had."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as exc:
        raise ConflictError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc


def make_server(
    app: Callable[..., object],
    sock: socket.socket,
    *,
    threads: int = 0,
    dispatcher: object = None,
    max_header_bytes: int = 32 << 10,
    max_body_bytes: int = 4 << 20,
    kept_body_bytes: int | None = None,
) -> Any:
    """Return a waitress server on ``sock``; with ``dispatcher`` it has no threads of its own.

    A body of ``max_body_bytes`` or more is refused with 413 by its Content-Length, and the
    connection closed. One over ``kept_body_bytes`` is taken off the connection but not kept: the
    app finds it empty.
    """
    server = create_server(
        app,
        sockets=[sock],
        _dispatcher=dispatcher,
        threads=max(threads, 1),
        connection_limit=CONNECTION_LIMIT,
        channel_timeout=IDLE_TIMEOUT_SEC,
        max_request_body_size=max_body_bytes,
        max_request_header_size=max_header_bytes,
        # The default is a file for every body over 512 KiB.
        inbuf_overflow=max_body_bytes,
        # select() cannot watch descriptors beyond 1,023.
        asyncore_use_poll=True,
        ident=None,
    )
    server.channel_class = Channel
    # With the default of 1, headers and body go out as two packets.
    server.adj.send_bytes = 32 << 10
    server.adj.kept_body_bytes = max_body_bytes if kept_body_bytes is None else kept_body_bytes
    return server


def serve(
    server: Any,
    stop: threading.Event,
    turn: Callable[[], bool] | None = None,
    arrival_timeout_sec: float = ARRIVAL_TIMEOUT_SEC,
) -> None:
    """Run ``server`` until ``stop`` is set, then answer what was accepted and close everything.

    ``turn`` is called after every poll, and says whether it did anything: if so there are answers
    to be sent, and perhaps more to do. A request that is not whole ``arrival_timeout_sec`` after
    it was first seen (once a second) has its connection closed.
    """
    next_sweep = 0.0
    worked = False
    while not stop.is_set():
        worked = _step(server, turn, 0 if worked else _WAIT_SEC)
        now = time.monotonic()
        if now >= next_sweep:
            next_sweep = now + _SWEEP_SEC
            _close_stuck(server, now, arrival_timeout_sec)
    _drain(server, turn)


def _step(server: Any, turn: Callable[[], bool] | None, timeout_sec: float) -> bool:
    wasyncore.poll2(timeout_sec, server._map)  # noqa: SLF001 - the loop is ours, the map waitress'
    worked = turn is not None and turn()
    if worked:
        wasyncore.poll2(0, server._map)  # noqa: SLF001
    return worked


def _close_stuck(server: Any, now: float, arrival_timeout_sec: float) -> None:
    for channel in list(server.active_channels.values()):
        if channel.request is not channel.arriving:
            channel.arriving, channel.arriving_since = channel.request, now
        elif channel.request is not None and now - channel.arriving_since > arrival_timeout_sec:
            channel.will_close = True


def _drain(server: Any, turn: Callable[[], bool] | None) -> None:
    # Out of the map: the socket is shared with other workers and closed by whoever bound it.
    server.del_channel()
    deadline = time.monotonic() + DRAIN_SEC
    while _busy(server) and time.monotonic() < deadline:
        _step(server, turn, 0.05)
    server.task_dispatcher.shutdown()
    wasyncore.close_all(server._map)  # noqa: SLF001
    server.socket.close()


def _busy(server: Any) -> bool:
    return any(
        channel.requests or channel.request is not None or channel.total_outbufs_len
        for channel in server.active_channels.values()
    )
