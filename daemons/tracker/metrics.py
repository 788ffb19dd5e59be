"""What a tracker counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from adctl.delivery.details import LeftOut

_EVERY_SEC = 1.0


class TrackerMetrics:
    """Made once per worker, after it is known where metrics go."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        self.events = Counter(
            "adctl_events_total",
            "Events by kind and what became of them: taken, late, duplicate or spooled.",
            ["kind", "verdict"],
            registry=registry,
        )
        self.rejected = Counter(
            "adctl_events_rejected_total",
            "Calls refused: forged, expired, faulty, or of a bid in the future.",
            ["kind", "reason"],
            registry=registry,
        )
        self.left_out = Counter(
            "adctl_event_details_dropped_total",
            "Parts of events that could not be read and were left out, by why.",
            ["kind", "detail", "reason"],
            registry=registry,
        )
        self.spool_bytes = Gauge(
            "adctl_spool_bytes",
            "Bytes of events on disk, which Redis has yet to take.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.spool_age_sec = Gauge(
            "adctl_spool_age_seconds",
            "How long ago the oldest event on disk was told; 0 without any.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.journal_bytes = Gauge(
            "adctl_journal_bytes",
            "Bytes of events on disk, which Redis has and PostgreSQL has not.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.journal_unprotected = Counter(
            "adctl_journal_unprotected_total",
            "Events acknowledged that nothing but Redis has: the journal is full or unwritable.",
            registry=registry,
        )
        self.journal_retaken = Counter(
            "adctl_journal_retaken_total",
            "Events that Redis had forgotten, and took again from the journal.",
            registry=registry,
        )
        self._clock = clock
        self._due = 0.0
        self._counted: dict[tuple[str, str], Counter] = {}

    def count(self, kind: str, verdict: str) -> None:
        """Count an event that was kept."""
        counter = self._counted.get((kind, verdict))
        if counter is None:
            # Finding a counter by its labels takes longer than counting.
            counter = self._counted[kind, verdict] = self.events.labels(kind, verdict)
        counter.inc()

    def count_left_out(self, kind: str, left_out: Sequence[LeftOut]) -> None:
        """Count the parts of a kept event that were left out of it."""
        for part in left_out:
            self.left_out.labels(kind, part.detail, part.reason).inc()

    def tell_spool(self, spooled_bytes: int, oldest_ms: int) -> None:
        """Tell how much is spooled, and since when, if a second has passed since that was told."""
        now = self._clock()
        if now >= self._due:
            self._due = now + _EVERY_SEC
            self.spool_bytes.set(spooled_bytes)
            self.spool_age_sec.set(max(0.0, now - oldest_ms / 1000) if spooled_bytes else 0)
