"""What came of campaigns in decisions, as a metric that cannot grow without bound."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import prometheus_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from adctl.decisions import Decision

MOST_CAMPAIGNS = 20
"""Campaigns a worker gives labels of their own; all others together are ``other``."""

_EVERY_SEC = 1.0


class CampaignOutcomes:
    """Counts outcomes in memory and adds them to the metric once a second.

    The campaigns with the most outcomes at that time are given what labels are left, for as long
    as the worker lives: a counter must not be taken back.
    """

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metric = prometheus_client.Counter(
            "adctl_campaign_outcomes_total",
            f"What came of campaigns in decisions; of {MOST_CAMPAIGNS} a worker, and all others.",
            ["campaign", "outcome"],
            registry=registry,
        )
        self._clock = clock
        self._due = 0.0
        self._counts: Counter[tuple[int, str]] = Counter()
        self._labelled: set[int] = set()

    def add(self, decision: Decision) -> None:
        """Count a decision; test traffic counts nothing."""
        if decision.test:
            return
        counts = self._counts
        for imp in decision.imps:
            for one in imp.candidates:
                counts[one.campaign_id, one.reason or "won"] += 1
            for one in imp.passed_over:
                counts[one.campaign_id, one.reason] += 1

    def publish(self) -> None:
        """Add what was counted to the metric, if a second has passed."""
        now = self._clock()
        if now < self._due or not self._counts:
            return
        self._due = now + _EVERY_SEC
        self._label()
        for (campaign_id, outcome), count in self._counts.items():
            campaign = str(campaign_id) if campaign_id in self._labelled else "other"
            self._metric.labels(campaign, outcome).inc(count)
        self._counts.clear()

    def _label(self) -> None:
        left = MOST_CAMPAIGNS - len(self._labelled)
        if not left:
            return
        totals = Counter[int]()
        for (campaign_id, _), count in self._counts.items():
            if campaign_id not in self._labelled:
                totals[campaign_id] += count
        self._labelled.update(campaign_id for campaign_id, _ in totals.most_common(left))
