"""What a tracker counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class TrackerMetrics:
    """Made once per worker, after it is known where metrics go."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
