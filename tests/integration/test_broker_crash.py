"""A broker that is killed in the middle of everything, and comes back with its log."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from adctl.config import KafkaSettings
from adctl.control.analytics import ANALYTICS
from adctl.streams.admin import KafkaAdmin
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.daemon_process import DaemonProcess
    from adctl.models import Event
    from adctl.stores.embedded.server import Server
    from adctl.stores.stream import EventStream

COST_NANOS = 2_500_000


class Pipeline:
    """Flusher and consumer at work between the event stream and the rollups."""

    def __init__(
        self,
        broker: Server,
        kafka: KafkaSettings,
        pool: ConnectionPool[psycopg.Connection],
        stream: EventStream,
    ) -> None:
        self._broker, self._kafka = broker, kafka
        self._pool, self._stream = pool, stream

    def counted(self) -> tuple[int, int]:
        """Impressions and nanos of the rollups."""
        with self._pool.connection() as conn:
            query = "SELECT coalesce(sum(impressions), 0), coalesce(sum(spend_nanos), 0)"
            [(impressions, nanos)] = conn.execute(f"{query} FROM rollup_delivery").fetchall()
        return int(impressions), int(nanos)

    def await_more(self) -> None:
        """Return once more is counted than now."""
        before = self.counted()
        await_that(lambda: self.counted() > before)

    def await_rest(self) -> None:
        """Return once nothing is on its way: the stream is forgotten and Kafka read to its end."""
        await_that(lambda: self._stream.length() == 0)
        await_that(lambda: self._read() == self.held())

    def held(self) -> int:
        """Messages in Kafka."""
        with TopicReader(
            self._kafka.bootstrap, ANALYTICS.topics, self._kafka.topic_prefix
        ) as reader:
            return reader.total

    def _read(self) -> int:
        cluster_id = KafkaAdmin(self._kafka.bootstrap, self._kafka).cluster_id()
        with self._pool.connection() as conn:
            positions = ANALYTICS.offsets().read(conn, cluster_id)
        return sum(position.next_offset for position in positions.values())

    def kill_broker(self) -> None:
        os.kill(self._broker.pid, signal.SIGKILL)
        await_that(lambda: not self._broker.alive())

    def restart_broker(self) -> None:
        self._broker.start(owned=True)


def await_that(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def pipeline(
    lasting_broker: Server,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    start_daemon: Callable[..., DaemonProcess],
) -> Iterator[Pipeline]:
    kafka = KafkaSettings(
        bootstrap=f"127.0.0.1:{lasting_broker.port}", topic_prefix=f"t{uuid.uuid4().hex[:10]}-"
    )
    environment = {
        "ADCTL_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "ADCTL_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
    }
    daemons = [start_daemon(name, **environment) for name in ("flusher", "consumer")]
    yield Pipeline(lasting_broker, kafka, pool, stream)
    # Before the broker: without it they take their time.
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def flowing(
    append: Callable[..., None], make_event: Callable[..., Event]
) -> Callable[[], contextmanager[list[Event]]]:
    """Append events without a pause while the block lasts; the list holds them."""

    @contextmanager
    def flow() -> Iterator[list[Event]]:
        events: list[Event] = []
        stop = threading.Event()

        def append_on() -> None:
            while not stop.wait(0.005):
                events.append(make_event(f"e{len(events)}", cost_nanos=COST_NANOS))
                append(events[-1])

        thread = threading.Thread(target=append_on)
        thread.start()
        try:
            yield events
        finally:
            stop.set()
            thread.join()

    return flow


def test_broker_killed_while_events_flow_loses_none_and_counts_none_twice(
    pipeline: Pipeline, flowing: Callable[[], contextmanager[list[Event]]]
) -> None:
    with flowing() as events:
        pipeline.await_more()
        pipeline.kill_broker()
        appended = len(events)
        await_that(lambda: len(events) > appended + 50)
        pipeline.restart_broker()
        pipeline.await_more()
    pipeline.await_rest()
    assert pipeline.counted() == (len(events), len(events) * COST_NANOS)
    assert pipeline.held() >= len(events)
