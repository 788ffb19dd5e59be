"""waitress, run by our own loop: it drains, drops stuck requests, and can do without threads.

The loop is waitress' own (``wasyncore.poll`` over its map of channels) with four things added:
a turn of queued work after every poll, an end that answers what was accepted, a limit on how long
a request may take to arrive, and one on how much of its body is held. What leans on waitress'
private parts is here, in channel.py and in turns.py only, and held by
tests/integration/test_serving.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from adctl.config_connections import ConnectionSettings
from adctl.errors import ConflictError
from adctl.stores.log_file import tend_log
from daemons.connections import AT_ONCE, Server
from daemons.direct import no_routes

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from daemons.direct import Routes
    from daemons.gate import Gate

IDLE_TIMEOUT_SEC = 60
ARRIVAL_TIMEOUT_SEC = 10.0
DRAIN_SEC = 10
_LINGER_SEC = 0.5
# Whoever does not fit in tries again after a second. The kernel's own limit comes first.
_BACKLOG = 4096
_SO_ATTACH_FILTER = 26
_BPF_RETURN = 6
_WAIT_SEC = 0.2
_LOOK_SEC = 0.05
_SWEEP_SEC = 1.0


def bind(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket. Raises ConflictError where the address cannot be had."""
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as exc:
        raise ConflictError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc


def refuse_newcomers(sock: socket.socket) -> None:
    """Let nobody else connect, while those that have can still be accepted. Linux only.

    Closing the socket would cut off those that wait to be accepted, perhaps with a request sent. To
    others it looks as if their first packet was lost; when they send another it is closed.
    """
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def make_server(
    app: Callable[..., object],
    sock: socket.socket,
    *,
    threads: int = 0,
    dispatcher: object = None,
    routes: Routes = no_routes,
    max_header_bytes: int = 32 << 10,
    max_body_bytes: int = 4 << 20,
    kept_body_bytes: int | None = None,
    connections: ConnectionSettings | None = None,
) -> Any:
    """Return a waitress server on ``sock``; with ``dispatcher`` it has no threads of its own.

    A body of ``max_body_bytes`` or more is refused with 413 by its Content-Length, and the
    connection closed. One over ``kept_body_bytes`` is taken off the connection but not kept: the
    app finds it empty. ``routes`` say what a dispatcher that takes steps answers past the app,
    ``connections`` who may hold how many.
    """
    adj = Adjustments(
        sockets=[sock],
        threads=max(threads, 1),
        backlog=_BACKLOG,
        channel_timeout=IDLE_TIMEOUT_SEC,
        max_request_body_size=max_body_bytes,
        max_request_header_size=max_header_bytes,
        # The default is a file for every body over 512 KiB.
        inbuf_overflow=max_body_bytes,
        ident=None,
    )
    own_threads = ThreadedTaskDispatcher()
    if dispatcher is None:
        own_threads.set_thread_count(adj.threads)
    server = Server(
        app,
        {},
        _sock=sock,
        dispatcher=own_threads if dispatcher is None else dispatcher,
        adj=adj,
        sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
        bind_socket=False,
    )
    server.limit(connections or ConnectionSettings())
    # Room is made by closing who is idle; beyond it, where none is, the kernel's backlog waits.
    adj.connection_limit = server.most + 2 * AT_ONCE
    # With the default of 1, headers and body go out as two packets.
    adj.send_bytes = 32 << 10
    adj.kept_body_bytes = max_body_bytes if kept_body_bytes is None else kept_body_bytes
    adj.known_headers = {}
    server.routes = routes
    if dispatcher is not None:
        # It wakes the loop up from another thread, and costs two system calls a request.
        server.pull_trigger = lambda: None
    return server


def serve(
    server: Any,
    stop: threading.Event,
    turn: Callable[[], bool] | None = None,
    arrival_timeout_sec: float = ARRIVAL_TIMEOUT_SEC,
    gate: Gate | None = None,
) -> None:
    """Run ``server`` until ``stop`` is set, then answer what was accepted and close everything.

    ``turn`` is called after every poll, and says whether it did anything: if so there are answers
    to be sent, and perhaps more to do. A request that is not whole ``arrival_timeout_sec`` after
    it was first seen (once a second) has its connection closed. At a ``gate`` connections are
    shared with other workers.
    """
    next_sweep = 0.0
    worked = False
    if gate:
        gate.guard(server)
    while not stop.is_set():
        wait_sec = gate.waits_sec if gate else 0
        worked = _step(server, turn, 0 if worked else wait_sec or _WAIT_SEC)
        now = time.monotonic()
        if now >= next_sweep:
            next_sweep = now + _SWEEP_SEC
            _close_stuck(server, now, arrival_timeout_sec)
            # Libraries write to it too, past our logger.
            tend_log()
    if gate:
        gate.close()
    _drain(server, turn)


def _step(server: Any, turn: Callable[[], bool] | None, timeout_sec: float) -> bool:
    wasyncore.poll2(timeout_sec, server._map)  # noqa: SLF001 - the loop is ours, the map waitress'
    worked = turn is not None and turn()
    if worked:
        wasyncore.poll2(0, server._map)  # noqa: SLF001
    return worked


def _close_stuck(server: Any, now: float, arrival_timeout_sec: float) -> None:
    clock = time.time()
    for channel in list(server.active_channels.values()):
        if channel.request is not channel.arriving:
            channel.arriving, channel.arriving_since = channel.request, now
        elif channel.request is not None and now - channel.arriving_since > arrival_timeout_sec:
            channel.will_close = True
        if channel.is_stuck(clock, server.first_byte_sec, IDLE_TIMEOUT_SEC):
            channel.will_close = True


def _drain(server: Any, turn: Callable[[], bool] | None) -> None:
    server.draining = True
    _accept_rest(server)
    # Out of the map: the socket is shared with other workers and closed by whoever bound it.
    server.del_channel()
    began = time.monotonic()
    worked = False
    while _busy(server) or server.active_channels:
        # Who sends request after request is told with an answer that it was the last; who is silent
        # for a while is not waited for.
        if time.monotonic() - began > (DRAIN_SEC if _busy(server) else _LINGER_SEC):
            break
        worked = _step(server, turn, 0 if worked else _LOOK_SEC)
    server.task_dispatcher.shutdown()
    wasyncore.close_all(server._map)  # noqa: SLF001
    server.socket.close()


def _accept_rest(server: Any) -> None:
    """Accept whoever has connected and waits for it."""
    before = -1
    while before < len(server.active_channels) < server.most:
        before = len(server.active_channels)
        server.handle_accept()


def _busy(server: Any) -> bool:
    return any(
        channel.requests or channel.request is not None or channel.total_outbufs_len
        for channel in server.active_channels.values()
    )
