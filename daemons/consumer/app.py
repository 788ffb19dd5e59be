"""The consumer's HTTP face: health and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from daemons.lifecycle import add_health_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falcon import Request, Response


class ConsumerMetrics:
    """What the consumer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "adctl_consumed_messages_total",
            "Messages by what became of them: applied, skipped (seen before) or undecodable.",
            ["outcome"],
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "adctl_consume_seconds", "Seconds one batch took into PostgreSQL.", registry=registry
        )
        self.failures = Counter(
            "adctl_consumer_failures_total",
            "Times Kafka or PostgreSQL failed and the consumer began anew.",
            registry=registry,
        )
        self.partitions = Gauge(
            "adctl_consumer_partitions", "Partitions assigned to this process.", registry=registry
        )


def create_app(
    checks: Mapping[str, Callable[[], None]], registry: CollectorRegistry
) -> falcon.App[Request, Response]:
    """Return the app; ``checks`` are asked by /health/ready."""
    app = falcon.App()
    add_health_routes(app, checks, registry)
    return app
