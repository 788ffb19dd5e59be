"""The three daemons between the event stream and the reports, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from adctl.stores.embedded.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    import redis

    from adctl.config import KafkaSettings, Settings
    from adctl.models import Event
    from adctl.stores.stream import EventStream

DAEMONS = ("flusher", "consumer", "pacer")
READY_SEC = 20


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_for(claim: Callable[[], bool], timeout_sec: float = READY_SEC) -> bool:
    deadline = time.monotonic() + timeout_sec
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def ports(
    settings: Settings,
    kafka: KafkaSettings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
) -> Iterator[dict[str, int]]:
    ports = {daemon: free_port("127.0.0.1") for daemon in DAEMONS}
    environment = os.environ | {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": settings.postgres.url.get_secret_value(),
        "ADCTL_REDIS_URL": settings.redis.url.get_secret_value(),
        "ADCTL_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "ADCTL_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        **{f"ADCTL_{daemon.upper()}_PORT": str(port) for daemon, port in ports.items()},
    }
    processes = [
        subprocess.Popen([sys.executable, "-m", f"daemons.{daemon}"], env=environment)
        for daemon in DAEMONS
    ]
    try:
        yield ports
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(15) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_an_event_in_the_stream_is_soon_in_the_rollups_and_forgotten(
    ports: dict[str, int],
    append: Callable[..., None],
    make_event: Callable[..., Event],
    stream: EventStream,
    postgres: psycopg.Connection,
) -> None:
    for port in ports.values():
        assert wait_for(lambda port=port: get(port, "/health/ready")[0] == 200)
    assert wait_for(
        lambda: (
            'adctl_consumer_partitions{group="analytics"} 15.0'
            in get(ports["consumer"], "/metrics")[1]
        )
    )
    append(make_event("a"), make_event("a"), make_event("bad", event_date="soon"))

    def rolled_up() -> bool:
        found = postgres.execute("SELECT sum(impressions), sum(spend_nanos) FROM rollup_delivery")
        row = found.fetchone()
        postgres.commit()
        return row == (1, 2_500_000)

    assert wait_for(rolled_up, 5)
    assert wait_for(lambda: stream.length() == 0, 3)
    metrics = get(ports["flusher"], "/metrics")[1]
    for outcome in ("stored", "duplicate", "rejected"):
        assert f'adctl_flushed_entries_total{{outcome="{outcome}"}} 1.0' in metrics
    assert "adctl_booked_nanos_total 2.5e+06" in metrics
    status, body = get(ports["pacer"], "/health/ready")
    assert (status, json.loads(body)["checks"]) == (200, {"postgres": "ok", "redis": "ok"})
