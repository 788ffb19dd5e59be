"""Processes that are frozen for a while (SIGSTOP), and go on as if nothing had been (SIGCONT)."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psutil


class Freezer:
    """Freezes processes with all their children. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frozen: dict[int, list[psutil.Process]] = {}
        self._thawed_at: dict[int, float] = {}

    def freeze(self, pid: int, sec: float) -> None:
        """Freeze ``pid`` and its children for so long, or for longer if it was to be frozen longer.

        Nothing happens if it is gone.
        """
        thawed_at = time.monotonic() + sec
        with suppress(psutil.NoSuchProcess), self._lock:
            self._thawed_at[pid] = max(thawed_at, self._thawed_at.get(pid, 0.0))
            parent = psutil.Process(pid)
            # First who could make more of them.
            parent.suspend()
            children = parent.children(recursive=True)
            self._frozen[pid] = [parent, *children]
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.suspend()
        timer = threading.Timer(sec, self._thaw_if_over, [pid, thawed_at])
        timer.daemon = True
        timer.start()

    def _thaw_if_over(self, pid: int, thawed_at: float) -> None:
        if self._thawed_at.get(pid, 0.0) <= thawed_at:
            self.thaw(pid)

    def thaw(self, pid: int) -> None:
        """Let ``pid`` and its children go on. Nothing happens if it was not frozen."""
        with self._lock:
            self._thawed_at.pop(pid, None)
            for process in reversed(self._frozen.pop(pid, [])):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def thaw_all(self) -> None:
        """Let everything go on."""
        for pid in list(self._frozen):
            self.thaw(pid)

    @property
    def busy(self) -> bool:
        """Whether anything is frozen."""
        return bool(self._frozen)
