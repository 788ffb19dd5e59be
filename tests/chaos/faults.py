"""What goes wrong during a run, and when: all of it fixed by the seed."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adctl.control.supervision import Supervisor
    from tests.chaos.proxy import FaultyProxy

_KILLED = ("bidder", "tracker", "flusher", "consumer", "pacer", "valkey", "postgres", "kafka")
_WITH_WORKERS = ("bidder", "tracker")
_PROXIED = ("valkey", "postgres")
EVERY_FAULT = (
    *(f"kill {name}" for name in _KILLED),
    *(f"kill a worker of {name}" for name in _WITH_WORKERS),
    *(f"cut {name}" for name in _PROXIED),
    *(f"lose replies of {name}" for name in _PROXIED),
    *(f"partition off {name}" for name in _PROXIED),
)
# Before the first there has to be something to lose, after the last something to go on with.
_QUIET_SEC = 3.0


class PlannedFault(NamedTuple):
    """A fault, the second of the traffic at which it happens, and how long it lasts if it does."""

    at_sec: float
    what: str
    for_sec: float | None = None


def plan_faults(seed: int, for_sec: int, each_sec: float) -> list[PlannedFault]:
    """Return the faults of a run, one in ``each_sec`` on average, in the order they happen.

    Every kind is chosen once before any is chosen again.
    """
    rng = random.Random(f"faults {seed}")
    left = int((for_sec - 2 * _QUIET_SEC) / each_sec)
    chosen: list[str] = []
    while len(chosen) < left:
        chosen += rng.sample(EVERY_FAULT, len(EVERY_FAULT))
    times = sorted(rng.uniform(_QUIET_SEC, for_sec - _QUIET_SEC) for _ in range(left))
    return [PlannedFault(at, what) for at, what in zip(times, chosen, strict=False)]


class Faults:
    """Carries out a plan as time goes by, and remembers what it did."""

    def __init__(
        self,
        plan: Sequence[PlannedFault],
        seed: int,
        supervisor: Supervisor,
        proxies: Mapping[str, FaultyProxy],
    ) -> None:
        self._waiting = list(plan)
        self._rng = random.Random(f"how {seed}")
        self._supervisor = supervisor
        self._proxies = proxies
        self.done: list[str] = []

    def tick(self, elapsed_sec: float) -> None:
        """Do what is due."""
        while self._waiting and self._waiting[0].at_sec <= elapsed_sec:
            fault = self._waiting.pop(0)
            self._do(fault.what, fault.for_sec)
            self.done.append(f"{elapsed_sec:.1f} s {fault.what}")

    def _do(self, what: str, for_sec: float | None) -> None:
        name = what.rpartition(" ")[2]
        if what.startswith("kill a worker"):
            self._kill_worker(name)
        elif what.startswith("kill"):
            self._supervisor.kill(name)
        elif what.startswith("cut"):
            self._proxies[name].cut()
        elif what.startswith("partition"):
            self._proxies[name].partition(for_sec or self._rng.uniform(0.2, 2))
        else:
            self._proxies[name].lose_replies(self._rng.uniform(0.02, 0.5))

    def _kill_worker(self, name: str) -> None:
        pids = {status.name: status.pid for status in self._supervisor.statuses()}
        try:
            workers = psutil.Process(pids[name]).children()
        except psutil.NoSuchProcess:
            return
        if workers:
            os.kill(self._rng.choice(workers).pid, signal.SIGKILL)
