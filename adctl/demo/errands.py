"""What users and exchanges do later: pixels that load, clicks that follow, notices sent again."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.demo.wire import Wire

    Errand = Callable[[Wire], None]


class Errands:
    """Errands in the order they are due. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Errand]] = []
        self._numbers = itertools.count()
        self._running = 0
        self._hurried = False
        self._ended = False

    def add(self, delay_sec: float, errand: Errand) -> None:
        """Have ``errand`` run ``delay_sec`` from now, or at once after ``hurry``."""
        with self._changed:
            due = self._clock() + (0.0 if self._hurried else delay_sec)
            heapq.heappush(self._due, (due, next(self._numbers), errand))
            self._changed.notify()

    def hurry(self) -> None:
        """Let everything be due now, and what it leads to as well."""
        with self._changed:
            self._hurried = True
            self._due = [(0.0, number, errand) for _, number, errand in sorted(self._due)]
            self._changed.notify_all()

    def end(self) -> None:
        """Let ``work`` return; what is left is not run."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        with self._changed:
            return not self._due and not self._running

    def work(self, wire: Wire) -> None:
        """Run errands over ``wire`` as they fall due, until ``end``. Any number of threads may."""
        while (errand := self._next()) is not None:
            try:
                errand(wire)
            finally:
                with self._changed:
                    self._running -= 1

    def _next(self) -> Errand | None:
        with self._changed:
            while not self._ended:
                wait_sec = self._due[0][0] - self._clock() if self._due else None
                if wait_sec is not None and wait_sec <= 0:
                    self._running += 1
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_sec)
        return None
