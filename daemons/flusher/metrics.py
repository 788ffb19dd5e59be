"""What the flusher counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from daemons.jobs import JobMetrics


class FlusherMetrics(JobMetrics):
    """What the flusher counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.entries = Counter(
            "adctl_flushed_entries_total",
            "Stream entries by what became of them: stored, duplicate or rejected.",
            ["outcome"],
            registry=registry,
        )
        self.booked_nanos = Counter(
            "adctl_booked_nanos_total", "Spend booked to the ledger, in nanos.", registry=registry
        )
        self.batch_seconds = Histogram(
            "adctl_flush_seconds", "Seconds one batch took into PostgreSQL.", registry=registry
        )
        self.relayed = Counter(
            "adctl_relayed_entries_total",
            "Events Kafka has confirmed.",
            registry=registry,
        )
        self.stream_entries = Gauge(
            "adctl_stream_entries",
            "Entries in the stream. Grows while PostgreSQL is down, and up to half its bound while "
            "Kafka is: alarm on it, because Redis' memory is its limit.",
            registry=registry,
        )
        self.unflushed_age = Gauge(
            "adctl_unflushed_age_seconds",
            "Age of the oldest event PostgreSQL does not hold yet.",
            registry=registry,
        )
        self.unrelayed_age = Gauge(
            "adctl_unrelayed_age_seconds",
            "Age of the oldest event Kafka has not confirmed yet.",
            registry=registry,
        )
