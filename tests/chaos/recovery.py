"""How long it takes until all money is there again after Redis has become one from the past."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from adctl.demo.summary import Check

if TYPE_CHECKING:
    from collections.abc import Callable

BIDS_AGAIN_WITHIN_SEC = 10.0
# Of the answers that were on their way, the last.
_ON_THE_WAY_SEC = 0.3


class Recovery:
    """Measures it, from the end of whatever else goes wrong at the same time.

    It is over when there are bids again, and ``all_made``: every campaign has its money in this
    Redis. A campaign that lost its own would never bid, and others would hide it.
    """

    def __init__(
        self, all_made: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._all_made = all_made
        self._clock = clock
        self._began: float | None = None
        self._bids: int | None = None
        self.took_sec: list[float] = []
        self._never = 0

    @property
    def is_awaited(self) -> bool:
        """Whether it is not over yet."""
        return self._began is not None

    def begin(self) -> None:
        """Be told that Redis is from the past now."""
        self._began, self._bids = self._clock(), None

    def look(self, bids: int, *, disturbed: bool) -> None:
        """Be told how many bids there were so far, and if something else is wrong now."""
        if self._began is None:
            return
        now = self._clock()
        if self._bids is None:
            if now - self._began >= _ON_THE_WAY_SEC:
                self._bids = bids
        elif bids > self._bids and self._all_made():
            self.took_sec.append(now - self._began)
            self._began = None
        elif disturbed:
            self._began = now
        elif now - self._began > BIDS_AGAIN_WITHIN_SEC:
            self._never += 1
            self._began = None

    def check(self) -> Check:
        """Return whether it was over within its time, whenever that was up."""
        told = ", ".join(f"{sec:.1f} s" for sec in self.took_sec) or "nothing to measure"
        never = f"; {self._never} times not" if self._never else ""
        within = f"within {BIDS_AGAIN_WITHIN_SEC:.0f} s of a Redis from the past"
        claim = f"bids go on, and every campaign has its money, {within}"
        return Check(claim, not self._never, told + never)
