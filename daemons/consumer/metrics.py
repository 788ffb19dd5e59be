"""What the consumer counts, by group."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class ConsumerMetrics:
    """What the consumer counts, by group."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "adctl_consumed_messages_total",
            "Messages by what became of them: applied, skipped (seen before) or dead_letter.",
            ["group", "outcome"],
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "adctl_consume_seconds",
            "Seconds one batch took into PostgreSQL.",
            ["group"],
            registry=registry,
        )
        self.failures = Counter(
            "adctl_consumer_failures_total",
            "Times Kafka or PostgreSQL failed and the group began anew.",
            ["group"],
            registry=registry,
        )
        self.partitions = Gauge(
            "adctl_consumer_partitions",
            "Partitions assigned to this process.",
            ["group"],
            registry=registry,
        )
        self.deliveries = Counter(
            "adctl_webhook_deliveries_total",
            "Webhook deliveries tried, by what became of them: delivered, postponed or failed.",
            ["outcome"],
            registry=registry,
        )
