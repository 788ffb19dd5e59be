"""The pacer's jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from adctl.control.alarms import AlarmWatch, publish_alarms, raise_alarms, raise_rejected
from adctl.control.publishing import relay_outbox, sync_all
from adctl.errors import StoreUnavailableError
from adctl.money import NANOS_PER_UNIT
from adctl.stores.events import EventStore
from adctl.stores.postgres import postgres_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.config_notices import AlarmSettings
    from adctl.control.price_watch import PriceWatch
    from adctl.control.proving import Prover
    from adctl.control.reconciling import Reconciler
    from adctl.control.redis_watch import RedisWatch
    from adctl.control.retaining import Retention
    from adctl.control.rollup_check import RollupCheck
    from adctl.control.steering import Pacer
    from adctl.models import Campaign
    from adctl.stores.budgets import Budgets, BudgetState
    from adctl.stores.catalog import CatalogStore
    from adctl.streams.consumer import IncomingMessage
    from adctl.streams.producer import OutgoingMessage
    from adctl.streams.reader import TopicReader
    from daemons.pacer.metrics import PacerMetrics

log = structlog.get_logger()

# One broken store breaks every campaign; the metrics have the number.
_LOGGED = 20
_LOOKED_AT = timedelta(days=7)
_SAMPLE = 3
# What is on its way through Kafka has so long to arrive.
_CATCH_UP_SEC = 10.0


class PacerWork:
    """The jobs that steer. Each is run by one thread at a time."""

    def __init__(self, pacer: Pacer, settings: Settings, metrics: PacerMetrics) -> None:
        self._pacer = pacer
        self._money = settings.money
        self._token_ttl_sec = settings.tracker.token_ttl_sec
        self._metrics = metrics

    def steer(self) -> None:
        """Set every active campaign's factors."""
        self._metrics.campaigns.set(self._pacer.steer(datetime.now(UTC)))

    def roll_days(self) -> None:
        """Begin the days that have come."""
        if rolled := self._pacer.roll_days(datetime.now(UTC)):
            self._metrics.days.inc(rolled)
            log.info("began a new day", campaigns=rolled)

    def rebalance(self) -> None:
        """Bring money to the shards that have run dry."""
        self._metrics.transfers.inc(self._pacer.rebalance())

    def expire(self) -> None:
        """Give back old reservations, and forget those that can no longer be billed."""
        now = datetime.now(UTC)
        self._metrics.expired.inc(self._pacer.expire(now, self._money))
        self._pacer.retire(now, self._token_ttl_sec, self._money.reservation_bucket_sec)


class CatalogWork:
    """The jobs that keep Redis and Kafka in step with PostgreSQL."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        catalog: CatalogStore,
        budgets: Budgets,
        pacer: Pacer,
        produce: Callable[[Sequence[OutgoingMessage]], None],
        retention: Retention,
        days_ahead: int,
        metrics: PacerMetrics,
    ) -> None:
        self._pool = pool
        self._retention = retention
        self._days_ahead = days_ahead
        self._catalog = catalog
        self._budgets = budgets
        self._pacer = pacer
        self._produce = produce
        self._metrics = metrics
        self._events = EventStore()
        self._synced = False

    def relay_outbox(self) -> None:
        """Bring changes that were cut short to Redis and Kafka."""
        changes = relay_outbox(self._pool, self._catalog, self._budgets, self._produce)
        self._metrics.relayed.inc(changes)

    def sync(self) -> None:
        """Write the whole catalog once at the start, and whenever Redis has lost some of it."""
        if self._synced and not self._pacer.needs_sync():
            return
        campaigns = sync_all(self._pool, self._catalog, self._budgets)
        self._synced = True
        self._metrics.synced.inc()
        log.info("wrote the catalog to Redis", campaigns=campaigns)

    def make_partitions(self) -> None:
        """Make event partitions of today and days ahead before they are needed."""
        today = datetime.now(UTC).date()
        days = [today + timedelta(days=ahead) for ahead in range(self._days_ahead + 1)]
        with postgres_errors("make event partitions"), self._pool.connection() as conn:
            self._events.make_partitions(conn, days)

    def prune(self) -> None:
        """Drop the days of events that are not kept any longer."""
        for day in self._retention.prune(datetime.now(UTC), "pacer"):
            log.info("dropped a day of events", day=day.day.isoformat(), rows=day.rows)


class RedisWork:
    """The jobs that see to it that the money in Redis is what was acknowledged."""

    def __init__(self, watch: RedisWatch, metrics: PacerMetrics) -> None:
        self._watch = watch
        self._metrics = metrics

    def look(self) -> None:
        """Make all money anew where Redis is from the past."""
        self._metrics.generations.inc(self._watch.look())

    def remake_recounted(self) -> None:
        """Make anew the money of campaigns that Redis counted an event of twice."""
        if campaigns := self._watch.remake_recounted():
            self._metrics.recounted.inc(campaigns)
            log.warning("Redis had counted events twice", campaigns=campaigns)


class AlarmWork:
    """Raises alarms of what the pacer sees, and publishes them."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        settings: AlarmSettings,
        produce: Callable[[Sequence[OutgoingMessage]], None],
        metrics: PacerMetrics,
        prices: PriceWatch,
    ) -> None:
        self._pool = pool
        self._prices = prices
        self._watch = AlarmWatch(settings)
        self._produce = produce
        self._metrics = metrics

    def look(
        self,
        campaigns: Mapping[int, Campaign],
        states: Mapping[int, BudgetState],
        now: datetime,
    ) -> None:
        """Raise what was not so at the last look; if PostgreSQL is away, it is found again."""
        found = self._watch.look(campaigns, states, now)
        try:
            raise_alarms(self._pool, found)
        except StoreUnavailableError:
            self._watch.forget()
            raise
        self._metrics.alarms.inc(len(found))

    def look_at_rejected(self) -> None:
        """Raise alarms of events that wait because PostgreSQL refused them, and count those."""
        found = raise_rejected(self._pool, datetime.now(UTC))
        counts = {"some": found.costly, "none": found.free, "unknown": found.unknown}
        for cost, count in counts.items():
            self._metrics.rejected.labels(cost).set(count)

    def look_at_prices(self) -> None:
        """Raise alarms of exchanges whose prices look as if they were read in a wrong way."""
        self._metrics.prices.clear()
        for prices in self._prices.look(datetime.now(UTC)):
            for kind, count in prices.counts().items():
                name = kind.removeprefix("prices.")
                self._metrics.prices.labels(prices.exchange, name).set(count / prices.billed)

    def publish(self) -> None:
        """Bring what was raised to Kafka."""
        publish_alarms(self._pool, self._produce)


class ProofWork:
    """The jobs that look whether all money adds up. They change nothing."""

    def __init__(
        self,
        prover: Prover,
        reconciler: Reconciler,
        open_events: Callable[[], TopicReader],
        rollups: RollupCheck,
        metrics: PacerMetrics,
        stopped: Callable[[], bool],
    ) -> None:
        self._stopped = stopped
        self._rollups = rollups
        self._prover = prover
        self._reconciler = reconciler
        self._open_events = open_events
        self._metrics = metrics

    def prove(self) -> None:
        """Check every invariant; what does not hold goes to the metrics and into the log."""
        proof = self._prover.prove()
        for invariant, times in proof.broken().items():
            self._metrics.breaches.labels(invariant).set(times)
        # A gauge is a float: good enough to be alerted by, and nothing is counted with it.
        self._metrics.at_most.set(proof.bound.at_most / NANOS_PER_UNIT)
        for breach in proof.breaches[:_LOGGED]:
            log.error("the money does not add up", **breach.fields())

    def check_rollups(self) -> None:
        """Hold this hour and some of the last week against their events, others every time."""
        now = datetime.now(UTC)
        hours = self._rollups.check(now - _LOOKED_AT, now, _SAMPLE, _CATCH_UP_SEC)
        self._metrics.rollup_differences.set(sum(hour.different for hour in hours))
        for hour in hours:
            if hour.different:
                log.error("reports differ from events", hour=f"{hour.hour}", rows=hour.different)

    def reconcile(self) -> None:
        """Hold the three stores against each other; ``adctl budget reconcile`` mends them."""
        with self._open_events() as reader:
            differences = self._reconciler.compare(self._until_stopped(reader.batches()))
        self._metrics.differences.set(len(differences))
        for difference in differences[:_LOGGED]:
            log.error("the stores differ", **difference.fields())

    def _until_stopped(
        self, batches: Iterable[list[IncomingMessage]]
    ) -> Iterator[list[IncomingMessage]]:
        # Kafka may have millions of events, and half of them prove nothing.
        for batch in batches:
            if self._stopped():
                raise StoreUnavailableError("stopped before all of Kafka was read")
            yield batch
