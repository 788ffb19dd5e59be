"""Bringing back a process that has ended, sooner the first time than the tenth."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from adctl.errors import AdctlError

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_WAIT_SEC = 0.2
_LONGEST_WAIT_SEC = 10.0
# A process that has run this long had not failed to start.
_STEADY_SEC = 20.0


class Keepable(Protocol):
    """A process that can be looked at and started again."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def pid(self) -> int:
        """Its process, or the last one it had."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def alive(self) -> bool:
        """Whether it runs; never waits."""


class Kept:
    """A process, and how often it had to be brought back. For the thread that owns the process."""

    def __init__(
        self,
        process: Keepable,
        respawn: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.process = process
        self.restarts = 0
        self._respawn = respawn
        self._clock = clock
        self._wait_sec = _FIRST_WAIT_SEC
        self._started_at = clock()
        self._next_try_at: float | None = None

    @property
    def uptime_sec(self) -> float:
        """Seconds since it was last started; 0 while it is down."""
        return 0.0 if self._next_try_at is not None else self._clock() - self._started_at

    @property
    def down(self) -> bool:
        """Whether it was found ended and is not back yet."""
        return self._next_try_at is not None

    def look(self) -> str:
        """Notice an end; start the process again when its turn has come. What happened, or ''.

        Blocks for as long as ``respawn`` does. A respawn that fails is tried again later.
        """
        now = self._clock()
        if self._next_try_at is None:
            if self.process.alive():
                return ""
            if now - self._started_at > _STEADY_SEC:
                self._wait_sec = _FIRST_WAIT_SEC
            self._next_try_at = now + self._wait_sec
            return f"{self.process.name} (pid {self.process.pid}) has ended"
        if now < self._next_try_at:
            return ""
        self._wait_sec = min(self._wait_sec * 2, _LONGEST_WAIT_SEC)
        try:
            self._respawn()
        except AdctlError as exc:
            self._next_try_at = self._clock() + self._wait_sec
            return f"{self.process.name} could not be started again: {exc}"
        self.restarts += 1
        self._next_try_at = None
        self._started_at = self._clock()
        return f"{self.process.name} was started again (pid {self.process.pid})"
