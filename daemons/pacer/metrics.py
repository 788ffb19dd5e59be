"""What the pacer counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from daemons.jobs import JobMetrics


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
        self.alarms = Counter(
            "adctl_alarms_found_total",
            "Alarms found; one that was raised before the pacer began is found once more.",
            registry=registry,
        )
        self.transfers = Counter(
            "adctl_share_transfers_total",
            "Transfers of campaign money between shards, to those that had run dry.",
            registry=registry,
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
        self.generations = Counter(
            "adctl_redis_generations_total",
            "Redis servers, by shard, whose money was made anew: restarted, emptied or set back.",
            registry=registry,
        )
        self.recounted = Counter(
            "adctl_recounted_campaigns_total",
            "Campaigns whose money was made anew, as Redis had counted an event twice.",
            registry=registry,
        )
        self.rejected = Gauge(
            "adctl_rejected_events",
            "Events that PostgreSQL refused and that wait, by cost: some, none, or unknown.",
            ["cost"],
            registry=registry,
        )
        self.prices = Gauge(
            "adctl_exchange_odd_prices_ratio",
            "Share of an exchange's prices of the last hour that are low, unread, or above_bid.",
            ["exchange", "kind"],
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
        self.rollup_differences = Gauge(
            "adctl_rollup_differences",
            "Rows of reports that are not what the events say, of the hours last looked at.",
            registry=registry,
        )
        self.differences = Gauge(
            "adctl_reconcile_differences",
            "Differences between Redis, PostgreSQL and Kafka at the last look.",
            registry=registry,
        )
