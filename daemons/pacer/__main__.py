"""``python -m daemons.pacer``: everything that is done by the clock."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.control.flushing import Flusher
from adctl.control.funding import Funding
from adctl.control.health import check_postgres, check_redis
from adctl.control.key_lives import KeyRecord
from adctl.control.plane import ControlPlane
from adctl.control.price_watch import PriceWatch
from adctl.control.proving import Prover
from adctl.control.reconciling import Reconciler
from adctl.control.redis_watch import RedisWatch
from adctl.control.retaining import Policy, Retention
from adctl.control.rollup_check import RollupCheck
from adctl.control.steering import Pacer
from adctl.stores.catalog import CatalogStore
from adctl.stores.endpoints import resolve
from adctl.stores.key_holders import KeyHolders
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.schema_version import refuse_newer_schema
from adctl.stores.shard_count import require_shards
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.steering import SteeringStore
from adctl.stores.stream import event_streams
from adctl.stores.tables import open_engine
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from adctl.streams.reader import TopicReader
from daemons.ending import cut_off
from daemons.jobs import Job, scheduled
from daemons.lifecycle import create_health_app, run_daemon, run_threaded, stop_on_signals
from daemons.pacer.metrics import PacerMetrics
from daemons.pacer.work import AlarmWork, CatalogWork, PacerWork, ProofWork, RedisWork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adctl.config import KafkaSettings, Settings
    from adctl.streams.producer import OutgoingMessage

_THREADS = 4
# Of the time from one steering to the next, the part that it may take.
_STEERING_SHARE = 0.6
_OUTBOX_SEC = 1.0
_FUNDING_SEC = 1.0
_REJECTED_SEC = 5.0
_PRICES_SEC = 60.0
_SYNC_SEC = 2.0
_LOOK_SEC = 0.5
_RECOUNTED_SEC = 1.0
_EXPIRY_SEC = 5.0
_KEYS_SEC = 5.0
_PROOF_SEC = 30.0
_RECONCILE_SEC = 3600.0
_PARTITIONS_SEC = 60.0
_PRUNE_SEC = 3600.0
# The outbox is held while it is sent; a lost Kafka must not keep it from Redis for long.
_SEND_TIMEOUT_SEC = 3.0


def main(settings: Settings) -> None:
    """Run the pacer until SIGTERM; what jobs are at then is ended, to be done by the next one."""
    stop = stop_on_signals()
    endpoints, section = resolve(settings), settings.pacer
    registry = CollectorRegistry()
    metrics = PacerMetrics(registry)
    refuse_newer_schema(endpoints.postgres_url)
    with ExitStack() as closing:
        pool = closing.enter_context(open_pool(endpoints.postgres_url, settings.postgres))
        client = closing.enter_context(connect(endpoints.redis_url, settings.redis))
        kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka_bootstrap})
        producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix, _SEND_TIMEOUT_SEC)
        closing.callback(producer.close)
        catalog = CatalogStore(client, settings.catalog.ttl_sec)
        shards = settings.redis.shards
        require_shards(client, shards)
        budgets = open_budgets(client, shards)
        engine = open_engine(endpoints.postgres_url, settings.postgres)
        closing.callback(engine.dispose)
        plane = ControlPlane(engine, catalog, budgets, settings.currency)
        for_alarms = ReliableProducer(kafka.bootstrap, kafka.topic_prefix, _SEND_TIMEOUT_SEC)
        closing.callback(for_alarms.close)
        alarms = AlarmWork(
            pool,
            settings.alarms,
            _produce(for_alarms, kafka),
            metrics,
            PriceWatch(pool, settings.alarms, settings.exchanges),
        )
        over_sec = section.interval_sec * _STEERING_SHARE
        pacer = Pacer(catalog, budgets, SteeringStore(client, shards), alarms.look, over_sec)
        steering = PacerWork(pacer, settings, metrics)
        flushers = [Flusher(pool, stream) for stream in event_streams(client, shards)]
        watching = RedisWork(RedisWatch(pool, client, catalog, budgets, flushers), metrics)
        retention = Retention(
            pool,
            flushers,
            Policy(settings.retention.events_days, settings.longest_event_sec),
        )
        keeping = CatalogWork(
            pool,
            catalog,
            budgets,
            pacer,
            _produce(producer, kafka),
            retention,
            settings.retention.partitions_ahead_days,
            metrics,
        )
        proof = ProofWork(
            Prover(pool, client, shards),
            Reconciler(pool, client, shards),
            lambda: TopicReader(kafka.bootstrap, topics.OF_EVENT.values(), kafka.topic_prefix),
            RollupCheck(pool),
            metrics,
            stop.is_set,
        )
        jobs = [
            Job("redis", watching.look, _LOOK_SEC, metrics),
            Job("recounted", watching.remake_recounted, _RECOUNTED_SEC, metrics),
            Job("sync", keeping.sync, _SYNC_SEC, metrics),
            Job("funding", Funding(pool, plane).fund, _FUNDING_SEC, metrics),
            Job("outbox", keeping.relay_outbox, _OUTBOX_SEC, metrics),
            Job("alarms", alarms.publish, _OUTBOX_SEC, metrics),
            Job("rejected", alarms.look_at_rejected, _REJECTED_SEC, metrics),
            Job("prices", alarms.look_at_prices, _PRICES_SEC, metrics),
            Job("partitions", keeping.make_partitions, _PARTITIONS_SEC, metrics),
            Job("prune", keeping.prune, _PRUNE_SEC, metrics),
            Job("steer", steering.steer, section.interval_sec, metrics),
            Job("days", steering.roll_days, section.interval_sec, metrics),
            Job("shares", steering.rebalance, section.interval_sec, metrics),
            Job("expiry", steering.expire, _EXPIRY_SEC, metrics),
            Job("keys", KeyRecord(pool, KeyHolders(client)).note, _KEYS_SEC, metrics),
            Job("proof", proof.prove, _PROOF_SEC, metrics),
            Job("reconcile", proof.reconcile, _RECONCILE_SEC, metrics),
            Job("rollups", proof.check_rollups, _RECONCILE_SEC, metrics),
        ]
        app = create_health_app(
            {"postgres": lambda: check_postgres(pool), "redis": lambda: check_redis(client)},
            registry,
        )
        with cut_off(stop, endpoints.postgres_url), scheduled(jobs):
            run_threaded(app, section, _THREADS, settings.connections, stop)


def _produce(
    producer: ReliableProducer, kafka: KafkaSettings
) -> Callable[[Sequence[OutgoingMessage]], None]:
    admin = KafkaAdmin(kafka.bootstrap, kafka)

    def produce(messages: Sequence[OutgoingMessage]) -> None:
        # An embedded broker comes back without topics, and as another cluster.
        producer.cluster_id()
        admin.ensure_topics()
        producer.send(messages)

    return produce


if __name__ == "__main__":
    run_daemon("pacer", main)
