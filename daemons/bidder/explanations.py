"""The few decisions of which it is told why campaigns were not in them, after the answer is out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from adctl.decisions import Decision
    from adctl.delivery.explaining import Explainer
    from adctl.openrtb import BidRequest
    from daemons.bidder.requests import DecisionRecorder

# More than wait in one turn unless every request is to be explained.
_MOST_WAITING = 100
_AT_LEAST_EVERY_MS = 5000


class Explanations:
    """Takes one decision in ``every``, and records it with what campaigns say to its request.

    Where requests are few, one in five seconds. Of those decisions only that got as far as looking
    for campaigns. 0 takes none.
    """

    def __init__(self, explainer: Explainer, decisions: DecisionRecorder, every: int) -> None:
        self._explainer = explainer
        self._decisions = decisions
        self._every = every
        self._since_last = 0
        self._last_at_ms: int | None = None
        self._waiting: deque[tuple[BidRequest, Decision]] = deque()

    def takes(self, request: BidRequest, decision: Decision) -> bool:
        """Return whether the decision is recorded here, later; costs next to nothing."""
        if not self._every or not decision.imps:
            return False
        self._since_last += 1
        now_ms = decision.decided_at_ms
        if self._last_at_ms is None:
            self._last_at_ms = now_ms
        is_due = self._since_last >= self._every or now_ms - self._last_at_ms >= _AT_LEAST_EVERY_MS
        if not is_due or len(self._waiting) >= _MOST_WAITING:
            return False
        self._since_last, self._last_at_ms = 0, now_ms
        self._waiting.append((request, decision))
        return True

    def explain_one(self) -> bool:
        """Explain and record the oldest one taken; False if there is none."""
        if not self._waiting:
            return False
        request, decision = self._waiting.popleft()
        looks = self._explainer.look(request, decision.decided_at_ms)
        self._decisions.record(msgspec.structs.replace(decision, looks=looks))
        return True

    def close(self) -> None:
        """Record what has been taken."""
        while self.explain_one():
            pass
