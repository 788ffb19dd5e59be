"""What the mock exchange and its users have done, and what they were answered."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from adctl.models import EventKind

_COMPLAINTS = 5
# Answers whose latency the screen speaks of: the last few seconds of them.
_RECENT = 2000


class Latency(NamedTuple):
    """Milliseconds from a request's first byte out to its answer's last byte in."""

    p50_ms: float
    p99_ms: float


class Tally:
    """Counts, and every event by its id. Safe to share between threads.

    ``expected_cost_nanos`` is what an event that books spend must cost, worked out here and not
    by the tracker.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._latencies_ms: list[float] = []
        self._recent_ms: deque[float] = deque(maxlen=_RECENT)
        self.complaints: list[str] = []
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.expected_cost_nanos: dict[str, int] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of the counts."""
        with self._lock:
            self._counts[name] += by

    def complain(self, about: str) -> None:
        """Keep the first few things that should not have happened, for the summary."""
        with self._lock:
            if len(self.complaints) < _COMPLAINTS:
                self.complaints.append(about)

    def counts(self) -> Counter[str]:
        """Return a copy of all counts."""
        with self._lock:
            return Counter(self._counts)

    def timed(self, latency_ms: float) -> None:
        """Note how long an answer to a bid request took."""
        with self._lock:
            self._latencies_ms.append(latency_ms)
            self._recent_ms.append(latency_ms)

    def send(self, event_id: str, cost_nanos: int | None = None) -> None:
        """Note that an event is about to be told; it may arrive even if no answer does."""
        with self._lock:
            if event_id in self.sent:
                self._counts["repeats"] += 1
            self.sent.add(event_id)
            if cost_nanos is not None:
                self.expected_cost_nanos[event_id] = cost_nanos

    def acknowledge(self, event_id: str) -> None:
        """Note that the tracker has answered for an event: it must never be lost."""
        with self._lock:
            self.acknowledged.add(event_id)

    def acknowledged_of(self, kind: EventKind) -> int:
        """Return how many different events of ``kind`` have been answered for."""
        with self._lock:
            return sum(event_id.endswith(f":{kind}") for event_id in self.acknowledged)

    def recent_latency(self) -> Latency:
        """Return the latency of the newest answers."""
        with self._lock:
            return _latency(list(self._recent_ms))

    def latency(self) -> Latency:
        """Return the latency of all answers."""
        with self._lock:
            return _latency(list(self._latencies_ms))


def _latency(found_ms: list[float]) -> Latency:
    if not found_ms:
        return Latency(0.0, 0.0)
    found_ms.sort()
    return Latency(found_ms[len(found_ms) // 2], found_ms[len(found_ms) * 99 // 100])
