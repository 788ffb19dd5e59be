"""``python -m daemons.consumer``: Kafka's topics into the rollups."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.control.analytics import GROUP, Analytics
from adctl.control.dead_letters import Undertaker
from adctl.control.health import check_postgres
from adctl.control.rebuilding import RollupRebuilder
from adctl.stores.endpoints import resolve
from adctl.stores.postgres import open_pool
from adctl.stores.stream import stream_keys
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from daemons.consumer.metrics import ConsumerMetrics
from daemons.consumer.reading import AnalyticsReader
from daemons.lifecycle import create_health_app, run_daemon, run_threaded, stop_on_signals

_THREADS = 4

if TYPE_CHECKING:
    from adctl.config import Settings


def main(settings: Settings) -> None:
    """Run the consumer until SIGTERM: the batch in hand is finished, then the group is left."""
    stop = stop_on_signals()
    endpoints, section = resolve(settings), settings.consumer
    registry = CollectorRegistry()
    with ExitStack() as closing:
        pool = closing.enter_context(open_pool(endpoints.postgres_url, settings.postgres))
        producer = ReliableProducer(endpoints.kafka_bootstrap, settings.kafka.topic_prefix)
        closing.callback(producer.close)
        undertaker = Undertaker(
            producer, GROUP, section.dead_letter_max_bytes, lambda: datetime.now(UTC)
        )
        reader = AnalyticsReader(
            endpoints.kafka_bootstrap,
            settings.kafka,
            KafkaAdmin(endpoints.kafka_bootstrap, settings.kafka),
            Analytics(pool, undertaker.bury),
            RollupRebuilder(pool, *stream_keys(settings.redis.shards)),
            section.batch_size,
            ConsumerMetrics(registry),
        )
        app = create_health_app(
            {"postgres": lambda: check_postgres(pool), "kafka": reader.check}, registry
        )
        thread = threading.Thread(target=reader.run, args=[stop], name="reader")
        thread.start()
        closing.callback(thread.join)
        closing.callback(stop.set)
        run_threaded(app, section.host, section.port, _THREADS, stop)


if __name__ == "__main__":
    run_daemon("consumer", main)
