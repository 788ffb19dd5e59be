"""``python -m daemons.consumer``: Kafka's topics into what each consumer group builds."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.billing import BILLING, Billing
from adctl.control.dead_letters import Undertaker
from adctl.control.health import check_postgres
from adctl.control.rebuilding import RollupRebuilder, StatementRebuilder
from adctl.stores.endpoints import resolve
from adctl.stores.postgres import open_pool
from adctl.stores.stream import stream_keys
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from daemons.consumer.metrics import ConsumerMetrics
from daemons.consumer.reading import GroupReader
from daemons.lifecycle import create_health_app, run_daemon, run_threaded, stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings

_THREADS = 4

_WORK = {
    ANALYTICS.name: (Analytics, RollupRebuilder),
    BILLING.name: (Billing, StatementRebuilder),
}


def main(settings: Settings) -> None:
    """Run the consumer until SIGTERM: the batches in hand are finished, then the groups are left.

    Each group is a member of its own, in a thread of its own; readiness names the one that fails.
    """
    stop = stop_on_signals()
    endpoints, section = resolve(settings), settings.consumer
    settings = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"bootstrap": endpoints.kafka_bootstrap})}
    )
    registry = CollectorRegistry()
    with ExitStack() as closing:
        pool = closing.enter_context(open_pool(endpoints.postgres_url, settings.postgres))
        metrics = ConsumerMetrics(registry)
        names = sorted(set(section.groups))
        readers = [make_reader(name, settings, pool, closing, metrics) for name in names]
        checks = {reader.name: reader.check for reader in readers}
        app = create_health_app({"postgres": lambda: check_postgres(pool), **checks}, registry)
        closing.enter_context(running(readers, stop))
        run_threaded(app, section.host, section.port, _THREADS, stop)


def make_reader(
    name: str,
    settings: Settings,
    pool: ConnectionPool[psycopg.Connection],
    closing: ExitStack,
    metrics: ConsumerMetrics,
) -> GroupReader:
    """Return what reads a group's topics; ``closing`` hangs up what it needs."""
    section, kafka = settings.consumer, settings.kafka
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    closing.callback(producer.close)
    undertaker = Undertaker(
        producer, name, section.dead_letter_max_bytes, lambda: datetime.now(UTC)
    )
    reading, rebuilder = _WORK[name]
    return GroupReader(
        kafka,
        KafkaAdmin(kafka.bootstrap, kafka),
        reading(pool, undertaker.bury),
        rebuilder(pool, *stream_keys(settings.redis.shards)),
        section.batch_size,
        metrics,
    )


@contextmanager
def running(readers: Sequence[GroupReader], stop: threading.Event) -> Iterator[None]:
    """Run each reader in a thread; on leaving, stop them and wait until all have left."""
    threads = [
        threading.Thread(target=reader.run, args=[stop], name=reader.name) for reader in readers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    run_daemon("consumer", main)
