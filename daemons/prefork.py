"""Several single-threaded workers behind one socket, kept alive by their parent.

The parent binds, forks and watches; it never serves. A worker that dies is replaced in the same
slot; when the parent dies, the kernel ends the workers. SIGTERM is passed on and each drains.
SIGHUP reads the configuration again: each worker gets a successor, and drains once that is ready.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from adctl.errors import AdctlError
from adctl.folders import make_private
from adctl.stores.log_file import tend_log
from daemons.gate import Gate, Tally
from daemons.lifecycle import stop_on_signals
from daemons.serving import DRAIN_SEC, bind, refuse_newcomers
from daemons.standby import FIRST, Standby

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Container, Iterable
    from pathlib import Path

    Work = Callable[[int, Gate, Standby, threading.Event], None]

log = structlog.get_logger()

_OBJECTS_TO_COLLECT = 20_000
_PR_SET_PDEATHSIG = 1
_RESPAWN_SEC = 0.5
# The largest catalogs take a quarter of it.
_READY_SEC = 60.0


class Plan(NamedTuple):
    """What to run: ``workers`` processes of ``work(slot, gate, standby, stop)`` at an address.

    ``work`` must connect only inside, after the fork, and call ``standby.ready()`` before it
    serves.
    """

    address: tuple[str, int]
    workers: int
    work: Work


class _Worker(NamedTuple):
    slot: int
    number: int  # that of its metrics: no two living workers write into the same files


def run_workers(plan: Plan, read_again: Callable[[], Plan], metrics_dir: Path) -> None:
    """Bind, and keep the plan's workers running until SIGTERM, with another plan after SIGHUP.

    Returns when every worker has ended. A ``read_again`` that raises AdctlError changes nothing.
    """
    sock = bind(*plan.address)
    shutil.rmtree(metrics_dir, ignore_errors=True)
    make_private(metrics_dir)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
    stop, again = stop_on_signals(), _reload_on_sighup()
    host, port = sock.getsockname()[:2]
    log.info("listening", host=host, port=port, workers=plan.workers)
    workers = _Workers(sock, plan, stop)
    while not stop.is_set():
        workers.replace_dead()
        if again.is_set():
            again.clear()
            workers.reload(read_again)
        tend_log()
        stop.wait(0.1)
    refuse_newcomers(sock)
    workers.end()


def _reload_on_sighup() -> threading.Event:
    """Return an event that SIGHUP sets; on a terminal, where it means its end, it stays that."""
    again = threading.Event()
    if not sys.stdin.isatty():
        signal.signal(signal.SIGHUP, lambda _signum, _frame: again.set())
    return again


class _Workers:
    """The parent's view of its workers, by process id."""

    def __init__(self, sock: socket.socket, plan: Plan, stop: threading.Event) -> None:
        self._sock = sock
        self._tally = Tally()
        self._plan = plan
        self._stop = stop
        self._running: dict[int, _Worker] = {}
        self._leaving: dict[int, _Worker] = {}
        for slot in range(plan.workers):
            self._start(slot, FIRST)

    def replace_dead(self) -> None:
        """Collect who has ended, and start another for who was not told to."""
        for pid in _ended(self._leaving):
            self._forget(self._leaving.pop(pid))
        for pid in _ended(self._running):
            worker = self._running.pop(pid)
            self._forget(worker)
            log.warning("worker died, starting another", worker=worker.slot, pid=pid)
            self._stop.wait(_RESPAWN_SEC)
            self._start(worker.slot, FIRST)

    def reload(self, read_again: Callable[[], Plan]) -> None:
        """Hand every slot over to a worker of the next plan, one after the other.

        Before a worker is told to drain its successor is ready; without one it stays.
        """
        try:
            plan = read_again()
        except AdctlError as exc:
            log.warning("the configuration is not taken, the last one stays", error=str(exc))
            return
        if plan.address != self._plan.address:
            log.warning("another address is taken at the next start", address=plan.address)
        before, self._plan = self._plan, plan
        for slot in range(plan.workers):
            if not self._hand_over(slot):
                if not self._stop.is_set():
                    log.error("no successor was ready, from this worker on they stay", worker=slot)
                self._plan = before
                return
        for pid, worker in list(self._running.items()):
            if worker.slot >= plan.workers:
                self._send_away(pid)
        log.info("reloaded", workers=plan.workers)

    def end(self) -> None:
        """Tell everybody to drain, and wait for it; who takes too long is killed."""
        left = {**self._running, **self._leaving}
        for pid in left:
            os.kill(pid, signal.SIGTERM)
        self._sock.close()
        deadline = time.monotonic() + DRAIN_SEC + 2
        while left and time.monotonic() < deadline:
            for pid in _ended(left):
                del left[pid]
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _hand_over(self, slot: int) -> bool:
        before = [pid for pid, worker in self._running.items() if worker.slot == slot]
        standby = Standby.after_another() if before else FIRST
        pid = self._start(slot, standby)
        if not standby.wait(_READY_SEC, self._stop):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._forget(self._running.pop(pid))
            return False
        for old in before:
            self._send_away(old)
        return True

    def _send_away(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)
        self._leaving[pid] = self._running.pop(pid)

    def _start(self, slot: int, standby: Standby) -> int:
        taken = {worker.number for worker in (*self._running.values(), *self._leaving.values())}
        worker = _Worker(slot, _first_free(taken))
        pid = _fork(self._plan.work, worker, Gate(self._sock, self._tally, worker.number), standby)
        self._running[pid] = worker
        return pid

    def _forget(self, worker: _Worker) -> None:
        # What it counted stays; what it measured of itself was true while it lived.
        mark_process_dead(worker.number)
        self._tally.leave(worker.number)


def _first_free(taken: Container[int]) -> int:
    number = 0
    while number in taken:
        number += 1
    return number


def _fork(work: Work, worker: _Worker, gate: Gate, standby: Standby) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Metrics are made per worker, after this; a number that comes again keeps dead pids from
    # leaving files.
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: worker.number)
    # The requests of one turn have more objects alive than the collector waits for by itself, and
    # next to no garbage that would need it.
    gc.set_threshold(_OBJECTS_TO_COLLECT)
    status = 1
    try:
        work(worker.slot, gate, standby, stop_on_signals())
        status = 0
    except Exception:
        log.exception("worker failed", worker=worker.slot)
    os._exit(status)


def _ended(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]]


def workers_registry() -> CollectorRegistry:
    """Return a registry that sums what all workers count, whichever is asked."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry
