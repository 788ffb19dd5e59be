"""waitress, run by our own loop: it drains, drops stuck requests, and can do without threads.

The loop is waitress' own (``wasyncore.poll`` over its map of channels) with three things added:
a turn of queued work after every poll, an end that answers what was accepted, and a limit on how
long a request may take to arrive. What leans on waitress' private parts is here and in turns.py
only, and held by tests/integration/test_serving.py.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from adctl.errors import ConflictError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

# Connections one process may hold; beyond it the kernel's backlog waits.
CONNECTION_LIMIT = 4000
IDLE_TIMEOUT_SEC = 60
# A request that is not whole by then has its connection closed.
ARRIVAL_TIMEOUT_SEC = 10
DRAIN_SEC = 10
_SWEEP_SEC = 1.0


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


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection of a client."""

    task_class = KeepAliveTask
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
    max_body_bytes: int = 4 << 20,
) -> Any:
    """Return a waitress server on ``sock``; with ``dispatcher`` it has no threads of its own.

    A body over ``max_body_bytes`` is refused by its Content-Length, before it is read.
    """
    server = create_server(
        app,
        sockets=[sock],
        _dispatcher=dispatcher,
        threads=max(threads, 1),
        connection_limit=CONNECTION_LIMIT,
        channel_timeout=IDLE_TIMEOUT_SEC,
        max_request_body_size=max_body_bytes,
        max_request_header_size=32 << 10,
        # The default is a file for every body over 512 KiB.
        inbuf_overflow=max_body_bytes,
        # select() cannot watch descriptors beyond 1,023.
        asyncore_use_poll=True,
        ident=None,
    )
    server.channel_class = Channel
    # With the default of 1, headers and body go out as two packets.
    server.adj.send_bytes = 32 << 10
    return server


def serve(server: Any, stop: threading.Event, turn: Callable[[], bool] | None = None) -> None:
    """Run ``server`` until ``stop`` is set, then answer what was accepted and close everything.

    ``turn`` is called after every poll, and says whether it left answers to be sent.
    """
    next_sweep = 0.0
    while not stop.is_set():
        _step(server, turn, 0.2)
        now = time.monotonic()
        if now >= next_sweep:
            next_sweep = now + _SWEEP_SEC
            _close_stuck(server, now)
    _drain(server, turn)


def _step(server: Any, turn: Callable[[], bool] | None, timeout_sec: float) -> None:
    wasyncore.poll2(timeout_sec, server._map)  # noqa: SLF001 - the loop is ours, the map waitress'
    if turn is not None and turn():
        wasyncore.poll2(0, server._map)  # noqa: SLF001


def _close_stuck(server: Any, now: float) -> None:
    for channel in list(server.active_channels.values()):
        if channel.request is None:
            channel.arriving_since = 0.0
        elif not channel.arriving_since:
            channel.arriving_since = now
        elif now - channel.arriving_since > ARRIVAL_TIMEOUT_SEC:
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
