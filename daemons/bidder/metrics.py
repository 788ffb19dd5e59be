"""What a bidder counts: in plain numbers as it answers, and once a second into its metrics."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter as Counts
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from daemons.bidder.campaign_outcomes import CampaignOutcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adctl.decisions import Decision

_SECONDS_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
_EVERY_SEC = 1.0


class BidderMetrics:
    """What a bidder counts. Made once per worker, after it is known where metrics go.

    Metrics that several processes share cost more to raise than a request has time for, so what is
    counted for every request is added to them by ``publish``.
    """

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.requests = Counter(
            "adctl_bid_requests_total",
            "Bid requests by outcome: bid, the reason there was none, or test whatever its answer.",
            ["outcome"],
            registry=registry,
        )
        self.bids = Counter("adctl_bids_total", "Bids, several per request.", registry=registry)
        self.seconds = Histogram(
            "adctl_bid_seconds",
            "Seconds from a request's decoding to its answer.",
            buckets=_SECONDS_BUCKETS,
            registry=registry,
        )
        self.failures = Counter(
            "adctl_bid_failures_total",
            "Requests answered with no bid because of a fault of ours.",
            registry=registry,
        )
        self.dropped_decisions = Counter(
            "adctl_decisions_dropped_total",
            "Decision records Kafka did not take in time.",
            registry=registry,
        )
        self.attributes = Counter(
            "adctl_bid_request_attributes_total",
            "Attributes that were not of their type in bid requests, by what became of them.",
            ["attribute", "outcome"],
            registry=registry,
        )
        self.outcomes = CampaignOutcomes(registry)
        self.campaigns = Gauge(
            "adctl_catalog_campaigns",
            "Campaigns in the catalog.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._clock = clock
        self._due = 0.0
        self._requests: Counts[str] = Counts()
        self._attributes: Counts[tuple[str, str]] = Counts()
        self._bids = 0
        self._buckets = [0] * (len(_SECONDS_BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, outcome: str) -> None:
        """Count a request that came to nothing before anything was decided."""
        self._requests[outcome] += 1

    def count_attributes(self, attributes: Iterable[tuple[str, str]]) -> None:
        """Count what could not be taken as it was written, each attribute once a request."""
        self._attributes.update(attributes)

    def count_answer(self, decision: Decision, bids: int, seconds: float) -> None:
        """Count a request that was decided on. Whatever a test is answered, it is no traffic."""
        if decision.test:
            self._requests["test"] += 1
        else:
            self._requests[decision.reason or "bid"] += 1
            self._bids += bids
            self.outcomes.add(decision)
        self._buckets[bisect_left(_SECONDS_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def publish(self, *, now: bool = False) -> None:
        """Add what was counted to the metrics, if a second has passed or ``now``."""
        if not now and self._clock() < self._due:
            return
        self._due = self._clock() + _EVERY_SEC
        self.outcomes.publish()
        for outcome, count in self._requests.items():
            self.requests.labels(outcome).inc(count)
        self._requests.clear()
        for named, count in self._attributes.items():
            self.attributes.labels(*named).inc(count)
        self._attributes.clear()
        self.bids.inc(self._bids)
        self._bids = 0
        self._publish_seconds()

    def _publish_seconds(self) -> None:
        # Observing each for itself is what this is to spare; a test holds that the sums come out.
        for bucket, count in zip(self.seconds._buckets, self._buckets, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self.seconds._sum.inc(self._seconds)  # noqa: SLF001
        self._buckets = [0] * len(self._buckets)
        self._seconds = 0.0
