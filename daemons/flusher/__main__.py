"""``python -m daemons.flusher``: the event stream into PostgreSQL, then to Kafka."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.control.flushing import Flusher
from adctl.control.health import check_postgres, check_redis
from adctl.control.relaying import Relay
from adctl.stores.endpoints import resolve
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.schema_version import refuse_newer_schema
from adctl.stores.shard_count import require_shards
from adctl.stores.stream import event_streams
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from daemons.ending import cut_off
from daemons.flusher.metrics import FlusherMetrics
from daemons.flusher.work import FlusherWork
from daemons.jobs import Job, scheduled
from daemons.lifecycle import create_health_app, run_daemon, run_threaded, stop_on_signals

_THREADS = 4
_MEASURE_SEC = 5.0
_LAST_SEC = 1.0

if TYPE_CHECKING:
    from adctl.config import Settings


def main(settings: Settings) -> None:
    """Run the flusher until SIGTERM, then flush once more and hang up in reverse order."""
    stop = stop_on_signals()
    endpoints, section = resolve(settings), settings.flusher
    registry = CollectorRegistry()
    metrics = FlusherMetrics(registry)
    refuse_newer_schema(endpoints.postgres_url)
    with ExitStack() as closing:
        url = endpoints.postgres_url
        pool = closing.enter_context(open_pool(url, settings.postgres))
        client = closing.enter_context(connect(endpoints.redis_url, settings.redis))
        require_shards(client, settings.redis.shards)
        producer = ReliableProducer(endpoints.kafka_bootstrap, settings.kafka.topic_prefix)
        closing.callback(producer.close)
        admin = KafkaAdmin(endpoints.kafka_bootstrap, settings.kafka)
        most = settings.tracker.stream_max_entries
        work = FlusherWork(
            [
                (Flusher(pool, stream, most), Relay(pool, stream, producer, admin))
                for stream in event_streams(client, settings.redis.shards)
            ],
            section.batch_size,
            metrics,
        )
        flush = Job("flush", work.flush, section.interval_sec, metrics)
        relay = Job("relay", work.relay, section.interval_sec, metrics)
        trim = Job("trim", work.trim, section.interval_sec, metrics)
        measure = Job("measure", work.measure, _MEASURE_SEC, metrics)
        app = create_health_app(
            {"postgres": lambda: check_postgres(pool), "redis": lambda: check_redis(client)},
            registry,
        )
        with cut_off(stop, url), scheduled([flush, relay, trim, measure]):
            run_threaded(app, section, _THREADS, settings.connections, stop)
        with cut_off(stop, url, _LAST_SEC):
            flush.run()
            relay.run()
            trim.run()


if __name__ == "__main__":
    run_daemon("flusher", main)
