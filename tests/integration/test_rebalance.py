"""Three consumers that come and go while events flow: no gap, and nothing counted twice."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.analytics import ANALYTICS
from adctl.control.flushing import Flusher
from adctl.control.relaying import Relay
from adctl.control.statement_lines import check_lines
from adctl.control.statements import parse_month
from adctl.decisions import Decision
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import OutgoingMessage, ReliableProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings
    from adctl.control.daemon_process import DaemonProcess
    from adctl.models import Event
    from adctl.stores.stream import EventStream

MONTH = parse_month(None, datetime.now(UTC))
BATCH = 40
PARTITIONS = 3
DIFFERENT = """
    SELECT count(*) FROM (
        SELECT campaign_id, count(*)::bigint, sum(cost_nanos)::bigint FROM event GROUP BY 1
    ) AS e FULL JOIN (
        SELECT campaign_id, sum(impressions)::bigint, sum(spend_nanos)::bigint
        FROM rollup_delivery GROUP BY 1
    ) AS r ON e = r
    WHERE e IS NULL OR r IS NULL
"""


class Load:
    """Events and decisions that flow from the stream to Kafka, batch by batch."""

    def __init__(
        self,
        kafka: KafkaSettings,
        pool: ConnectionPool[psycopg.Connection],
        stream: EventStream,
        append: Callable[..., None],
        make_event: Callable[..., Event],
    ) -> None:
        self._producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
        self._flusher = Flusher(pool, stream)
        self._relay = Relay(pool, stream, self._producer, KafkaAdmin(kafka.bootstrap, kafka))
        self._append, self._make_event = append, make_event
        self.decisions = 0
        self.failure: Exception | None = None

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._send_batch()
                stop.wait(0.05)
        except Exception as exc:  # noqa: BLE001 - told in the test's own thread
            self.failure = exc
        self._producer.close()

    def _send_batch(self) -> None:
        made = range(self.decisions, self.decisions + BATCH)
        self._append(*(self._make_event(f"e{n}", campaign_id=n % 7 + 1) for n in made))
        self._flusher.drain(BATCH)
        self._relay.drain(BATCH)
        now_ms = time.time_ns() // 1_000_000
        value = msgspec.json.encode(Decision("r", "default", now_ms, bid=False, reason="floor"))
        self._producer.send([OutgoingMessage(topics.BIDS, b"%d" % n, value) for n in made])
        self.decisions += BATCH


@contextmanager
def flowing(load: Load) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=load.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert load.failure is None


def wait_for(claim: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def share_all(*processes: DaemonProcess) -> bool:
    """Return whether each of these reads something, and together they read everything."""
    shares = [partitions(process) for process in processes]
    return all(shares) and sum(shares) == len(ANALYTICS.topics) * PARTITIONS


def partitions(process: DaemonProcess) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=5) as answer:
        found = re.search(rb'consumer_partitions{group="analytics"} (\d+)', answer.read())
    return int(found[1]) if found else 0


def kill(process: DaemonProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)
    while process.alive():
        time.sleep(0.01)


@pytest.mark.timeout(300)
def test_consumers_that_join_and_leave_under_load_leave_no_gap_and_count_nothing_twice(
    kafka: KafkaSettings,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Callable[..., None],
    make_event: Callable[..., Event],
    postgres: psycopg.Connection,
    start_daemon: Callable[..., DaemonProcess],
) -> None:
    def one(query: str) -> int:
        (count,) = postgres.execute(query).fetchone()
        postgres.commit()
        return int(count)

    def requests() -> int:
        return one("SELECT coalesce(sum(requests), 0) FROM rollup_requests")

    def differences() -> int:
        return one(DIFFERENT)

    def join() -> DaemonProcess:
        return start_daemon("consumer", ADCTL_KAFKA_TOPIC_PREFIX=kafka.topic_prefix)

    load = Load(kafka, pool, stream, append, make_event)
    with flowing(load):
        first, second, third = join(), join(), join()
        wait_for(lambda: share_all(first, second, third), "not everything is read by three")
        kill(first)
        wait_for(lambda: share_all(second, third), "not everything is read by two")
        fourth = join()
        # The embedded broker may take a minute over a member that leaves while another joins.
        wait_for(lambda: share_all(second, third, fourth), "not everything is read by three again")
        second.stop()
        wait_for(lambda: share_all(third, fourth), "not everything is read by two others")
    wait_for(lambda: requests() >= load.decisions, "the last consumer does not catch up")
    assert requests() == load.decisions
    assert check_lines(pool, MONTH, 60) == []
    wait_for(lambda: differences() == 0, "rollups and events differ")
