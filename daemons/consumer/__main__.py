"""``python -m daemons.consumer``: Kafka's topics into what each consumer group builds."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry

from adctl.control.analytics import ANALYTICS, Analytics
from adctl.control.billing import BILLING, Billing
from adctl.control.dead_letters import Undertaker
from adctl.control.health import check_postgres
from adctl.control.notify import NOTIFY, Notify
from adctl.control.rebuilding import NothingToRebuild, RollupRebuilder, StatementRebuilder
from adctl.control.webhook_sending import WebhookSender
from adctl.stores.endpoints import resolve
from adctl.stores.postgres import open_pool
from adctl.stores.schema_version import refuse_newer_schema
from adctl.stores.stream import stream_keys
from adctl.stores.webhook_post import WebhookPoster
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from daemons.consumer.metrics import ConsumerMetrics
from daemons.consumer.reading import GroupReader
from daemons.consumer.sending import SendingLoop
from daemons.ending import cut_off
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
    NOTIFY.name: (Notify, NothingToRebuild),
}


class Loop(Protocol):
    """Work that goes on in a thread of its own until ``stop`` is set."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Work."""


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
    refuse_newer_schema(endpoints.postgres_url)
    with ExitStack() as closing:
        pool = closing.enter_context(open_pool(endpoints.postgres_url, settings.postgres))
        metrics = ConsumerMetrics(registry)
        names = sorted(set(section.groups))
        readers = [make_reader(name, settings, pool, closing, metrics) for name in names]
        checks = {reader.name: reader.check for reader in readers}
        app = create_health_app({"postgres": lambda: check_postgres(pool), **checks}, registry)
        work: list[Loop] = [*readers]
        if NOTIFY.name in names:
            work.append(SendingLoop(make_sender(settings, pool), metrics))
        closing.enter_context(cut_off(stop, endpoints.postgres_url))
        closing.enter_context(running(work, stop))
        run_threaded(app, section, _THREADS, settings.connections, stop)


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


def make_sender(settings: Settings, pool: ConnectionPool[psycopg.Connection]) -> WebhookSender:
    """Return what sends webhooks."""
    section = settings.webhooks
    poster = WebhookPoster(section.timeout_sec, section.networks)
    return WebhookSender(pool, poster.post, section, time.time)


@contextmanager
def running(loops: Sequence[Loop], stop: threading.Event) -> Iterator[None]:
    """Run each loop in a thread; on leaving, stop them and wait until all have ended."""
    threads = [threading.Thread(target=loop.run, args=[stop], name=loop.name) for loop in loops]
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
