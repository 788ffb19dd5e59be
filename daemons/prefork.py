"""Several single-threaded workers behind one socket, kept alive by their parent.

The parent binds, forks and watches; it never serves. A worker that dies is replaced under the same
number; when the parent dies, the kernel ends the workers. SIGTERM is passed on and each drains.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from daemons.lifecycle import stop_on_signals
from daemons.serving import DRAIN_SEC, bind, refuse_newcomers

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_RESPAWN_SEC = 0.5


def run_workers(
    host: str,
    port: int,
    workers: int,
    metrics_dir: Path,
    work: Callable[[int, socket.socket, threading.Event], None],
) -> None:
    """Bind, and keep ``workers`` processes running ``work(number, sock, stop)`` until SIGTERM.

    ``work`` must connect only inside, after the fork. Returns when every worker has ended.
    """
    sock = bind(host, port)
    shutil.rmtree(metrics_dir, ignore_errors=True)
    metrics_dir.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
    stop = stop_on_signals()
    log.info("listening", host=host, port=sock.getsockname()[1], workers=workers)
    pids = {_spawn(number, sock, work): number for number in range(workers)}
    while not stop.is_set():
        for pid in _ended(pids):
            number = pids.pop(pid)
            log.warning("worker died, starting another", worker=number, pid=pid)
            stop.wait(_RESPAWN_SEC)
            pids[_spawn(number, sock, work)] = number
        stop.wait(0.1)
    refuse_newcomers(sock)
    _end(pids, sock)


def _spawn(
    number: int, sock: socket.socket, work: Callable[[int, socket.socket, threading.Event], None]
) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # Metrics are made per worker, after this; a stable number keeps dead pids from leaving files.
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: number)
    status = 1
    try:
        work(number, sock, stop_on_signals())
        status = 0
    except Exception:
        log.exception("worker failed", worker=number)
    os._exit(status)


def _ended(pids: dict[int, int]) -> list[int]:
    return [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]]


def _end(pids: dict[int, int], sock: socket.socket) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    sock.close()
    deadline = time.monotonic() + DRAIN_SEC + 2
    left = set(pids)
    while left and time.monotonic() < deadline:
        left -= set(_ended(dict.fromkeys(left, 0)))
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def workers_registry() -> CollectorRegistry:
    """Return a registry that sums what all workers count, whichever is asked."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry
