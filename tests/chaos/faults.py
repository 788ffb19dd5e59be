"""Doing what a plan says goes wrong, when it does."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import redis

from tests.chaos.frozen import Freezer
from tests.chaos.moments import FLUSH, PROMOTE, QUIET_SEC, SET_BACK
from tests.chaos.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adctl.demo.run import Snapshot
    from tests.chaos.commands import DoomedCommands
    from tests.chaos.moments import PlannedFault
    from tests.chaos.past import Past
    from tests.chaos.proxy import FaultyProxy
    from tests.chaos.supervisor import ChaosSupervisor

_COMING_BACK = ("restarting", "starting")


@dataclass(frozen=True)
class Tools:
    """What it takes to do harm."""

    supervisor: ChaosSupervisor
    proxies: Mapping[str, FaultyProxy]
    past: Past
    commands: DoomedCommands


class Faults:
    """Carries out a plan as time goes by, and remembers what it did.

    After a Redis from the past has been put in place for the last time in a row, everything else
    waits until there are bids again, or should have been; but not in the last seconds of the
    traffic, which lasts ``for_sec``: nothing that was planned is left out.
    """

    def __init__(
        self, plan: Sequence[PlannedFault], seed: int, tools: Tools, for_sec: float
    ) -> None:
        self._waiting = list(plan)
        self._hurries_from_sec = for_sec - QUIET_SEC
        self._campaigns: frozenset[int] = frozenset()
        # Planned, and not begun before the traffic ended: a command, a replica was waited for.
        self.left_out = 0
        self._rng = random.Random(f"how {seed}")
        self._tools = tools
        self._freezer = Freezer()
        self._promote_at_sec: float | None = None
        self._partitioned_until = 0.0
        self.recovery = Recovery(self._all_made)
        self.done: list[str] = []

    def tick(self, snapshot: Snapshot) -> None:
        """Do what is due: one thing after what was put off, everything otherwise."""
        now_sec = snapshot.elapsed_sec
        self._tools.past.note()
        self._campaigns |= {campaign.id for campaign in snapshot.overview.campaigns}
        self.recovery.look(snapshot.counts["bids"], disturbed=self._is_disturbed(snapshot))
        if self._promote_at_sec is not None and self._promote_at_sec <= now_sec:
            self._promote(now_sec)
        while self._waiting and self._waiting[0].at_sec <= now_sec:
            if self._holds_back(now_sec):
                break
            self._begin(self._waiting.pop(0), now_sec)

    def finish(self) -> None:
        """Let nothing go on being wrong, nor begin to be."""
        self.left_out += len(self._waiting)
        self._waiting = []
        self._freezer.thaw_all()
        self._tools.past.forget_replica()
        self.left_out += self._tools.commands.stop()

    def _all_made(self) -> bool:
        return self._tools.past.has_money_of(self._campaigns)

    def _holds_back(self, now_sec: float) -> bool:
        """Whether the next has to wait: for bids, unless it is of a row, or for a replica."""
        fault = self._waiting[0]
        if fault.what == PROMOTE and self._tools.past.is_followed:
            return True
        hurries = now_sec >= self._hurries_from_sec
        return self.recovery.is_awaited and not fault.is_past and not hurries

    def _is_disturbed(self, snapshot: Snapshot) -> bool:
        coming_back = any(process.state in _COMING_BACK for process in snapshot.processes)
        partitioned = time.monotonic() < self._partitioned_until
        return self._freezer.busy or partitioned or coming_back

    def _begin(self, fault: PlannedFault, now_sec: float) -> None:
        told = self._do(fault, now_sec)
        self.done.append(f"{now_sec:.1f} s {fault.what}{told and f': {told}'}")
        if fault.what in {SET_BACK, FLUSH}:
            self.recovery.begin()

    def _do(self, fault: PlannedFault, now_sec: float) -> str:
        """Do it; return what more there is to say of it."""
        what, lasts_sec = fault.what, fault.for_sec or 0.0
        name = what.rpartition(" ")[2]
        if what == SET_BACK:
            self._freezer.thaw(self._pid(name))
            return f"by {self._tools.past.set_back(lasts_sec):.1f} s"
        if what == FLUSH:
            return self._flush()
        if what == PROMOTE:
            return self._follow(fault, now_sec)
        if what.startswith("freeze"):
            self._freezer.freeze(self._rng.choice(self._tools.supervisor.pids(name)), lasts_sec)
            return f"for {lasts_sec:.1f} s"
        if what.startswith("kill inside"):
            self._tools.commands.kill_inside(what.removeprefix("kill inside "))
        elif what.startswith("kill a worker"):
            self._kill_worker(name)
        elif what.startswith("kill"):
            self._kill(name)
        elif what.startswith("cut"):
            self._tools.proxies[name].cut()
        elif what.startswith("partition"):
            sec = fault.for_sec or self._rng.uniform(0.2, 2)
            self._partitioned_until = time.monotonic() + sec
            self._tools.proxies[name].partition(sec)
        else:
            self._tools.proxies[name].lose_replies(self._rng.uniform(0.02, 0.5))
        return ""

    def _pid(self, name: str) -> int:
        return self._tools.supervisor.pids(name)[0]

    def _kill(self, name: str) -> None:
        pid = self._pid(name)
        self._tools.supervisor.kill(name)
        # Its children have to see that it is gone.
        self._freezer.thaw(pid)

    def _flush(self) -> str:
        self._freezer.thaw(self._pid("valkey"))
        try:
            self._tools.past.flush()
        except redis.RedisError as exc:
            return f"it could not be asked: {exc}"
        return ""

    def _follow(self, fault: PlannedFault, now_sec: float) -> str:
        self._freezer.thaw(self._pid("valkey"))
        try:
            follows = self._tools.past.follow()
        except redis.RedisError:
            follows = False
        if not follows:
            self._tools.past.forget_replica()
            return "it could not be copied"
        lag_sec = fault.for_sec or 0.0
        self._promote_at_sec = now_sec + lag_sec
        return f"with a lag of {lag_sec:.1f} s"

    def _promote(self, now_sec: float) -> None:
        self._promote_at_sec = None
        self._freezer.thaw(self._pid("valkey"))
        self._tools.past.promote()
        self.done.append(f"{now_sec:.1f} s the replica was promoted")
        self.recovery.begin()

    def _kill_worker(self, name: str) -> None:
        try:
            workers = psutil.Process(self._pid(name)).children()
        except psutil.NoSuchProcess:
            return
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(workers).pid, signal.SIGKILL)
