"""Operators' commands under load, killed in the midst of them."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.chaos.leftovers import KEPT_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chaos.leftovers import Leftovers

_COMMANDS = {
    "rebuild rollups": ("rebuild", "rollups"),
    "rebuild statements": ("rebuild", "statements"),
    "budget reconcile": ("budget", "reconcile", "--repair", "--yes"),
    "db prune": ("db", "prune", "--yes"),
    "consumer rewind": ("consumer", "rewind", "--to", "1h", "--yes"),
    "db migrate": ("db", "migrate"),
}
COMMANDS = tuple(_COMMANDS)
_TIMES = 2
# For one that is not to be killed: stores may be away, or frozen.
_AT_MOST_SEC = 20.0


class DoomedCommands:
    """Does them one after the other in a thread, each as often, and kills it each time.

    When, is a random part of the time that it took when it was last seen to end by itself: the
    first time it may.
    """

    def __init__(
        self, environment: Mapping[str, str], log: Path, seed: int, leftovers: Leftovers
    ) -> None:
        self._leftovers = leftovers
        self._rng = random.Random(f"commands {seed}")
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._not_begun = 0
        self._usually_sec: dict[str, float] = {}
        self._stopped = False
        self.ended: list[str] = []
        self._said = log.open("ab")
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.doomed", str(leftovers.sql)],
            env={**environment, "ADCTL_RETENTION_EVENTS_DAYS": str(KEPT_DAYS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            bufsize=1,
        )
        self._thread = threading.Thread(target=self._work, name="commands", daemon=True)
        self._thread.start()

    def kill_inside(self, name: str) -> None:
        """Have a command killed soon."""
        self._asked.put(name)

    def stop(self) -> int:
        """Begin nothing more; how many were not begun, once nothing of the others runs."""
        if self._stopped:
            return 0
        self._stopped = True
        self._asked.put("")
        self._thread.join()
        self._runner.communicate()
        self._said.close()
        return self._not_begun

    def _work(self) -> None:
        while name := self._asked.get():
            self._not_begun += self._stopped
            for _ in range(_TIMES + (name not in self._usually_sec)):
                if not self._stopped:
                    self._do(name)

    def _do(self, name: str) -> None:
        usually_sec = self._usually_sec.get(name)
        after_sec = self._rng.uniform(0, usually_sec) if usually_sec else _AT_MOST_SEC
        self._leftovers.make(name)
        began = time.monotonic()
        self._runner.stdin.write(json.dumps(_COMMANDS[name]) + "\n")
        pid = int(self._runner.stdout.readline())
        killer = threading.Timer(after_sec, _kill, [pid])
        killer.start()
        status = int(self._runner.stdout.readline())
        killer.cancel()
        took_sec = time.monotonic() - began
        if status == -signal.SIGKILL:
            self.ended.append(f"{name} was killed after {after_sec:.2f} s")
        else:
            self._usually_sec[name] = took_sec
            self.ended.append(f"{name} ended with {status} after {took_sec:.2f} s")


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
