"""The pacer's HTTP face: health and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon
from prometheus_client import CollectorRegistry, Counter, Gauge

from daemons.jobs import JobMetrics
from daemons.lifecycle import add_health_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falcon import Request, Response


class PacerMetrics(JobMetrics):
    """What the pacer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.campaigns = Gauge(
            "adctl_paced_campaigns", "Active campaigns at the last look.", registry=registry
        )
        self.days = Counter(
            "adctl_days_rolled_total", "Campaign days that were begun.", registry=registry
        )
        self.expired = Counter(
            "adctl_expired_buckets_total",
            "Buckets of reservations that expired before a win or a loss.",
            registry=registry,
        )
        self.relayed = Counter(
            "adctl_relayed_changes_total",
            "Campaign changes brought from the outbox to Redis and Kafka.",
            registry=registry,
        )
        self.synced = Counter(
            "adctl_catalog_syncs_total",
            "Times the catalog was written to Redis as a whole.",
            registry=registry,
        )
        self.breaches = Gauge(
            "adctl_proof_breaches",
            "Campaigns of which an invariant of the money did not hold at the last look.",
            ["invariant"],
            registry=registry,
        )
        self.at_most = Gauge(
            "adctl_overspend_bound_units",
            "How far beyond their budgets campaigns can come, in units of the account's currency.",
            registry=registry,
        )


def create_app(
    checks: Mapping[str, Callable[[], None]], registry: CollectorRegistry
) -> falcon.App[Request, Response]:
    """Return the app; ``checks`` are asked by /health/ready."""
    app = falcon.App()
    add_health_routes(app, checks, registry)
    return app
