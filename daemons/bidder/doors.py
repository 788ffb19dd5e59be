"""How an exchange is let in: how often, and how it is told no."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_EXCHANGE = "default"
"""The exchange behind plain /bid-request."""


class RateLimit:
    """A token bucket: ``per_sec`` on average, and as many at once as a second holds."""

    def __init__(self, per_sec: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_sec = per_sec
        self._most = max(1.0, per_sec)
        self._left = self._most
        self._clock = clock
        self._filled_at = clock()

    def admits(self) -> bool:
        """Return whether one more may pass now; if so, it has."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._filled_at) * self._per_sec)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Door(NamedTuple):
    """One exchange's: its limit, if it has one, and whether no-bids tell their reason."""

    limit: RateLimit | None = None
    tells_reason: bool = False


OPEN_DOORS = {DEFAULT_EXCHANGE: Door()}
