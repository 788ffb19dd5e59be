"""A bidder of two workers under load: what is lost when one is killed, or when it has to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil
import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.bidder.calling import CAMPAIGN, EXCHANGES
from tests.integration.bidder.load import under_load

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.control.daemon_process import DaemonProcess


@pytest.fixture
def bidder(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
    return start_daemon(
        "bidder",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_BIDDER_WORKERS="2",
        ADCTL_TRACKER_PUBLIC_URL="https://t.example",
        ADCTL_EXCHANGES=json.dumps(EXCHANGES),
    )


def test_killed_worker_costs_the_requests_in_flight_only(bidder: DaemonProcess) -> None:
    with under_load(bidder.port) as load:
        [killed, other] = psutil.Process(bidder.pid).children()
        os.kill(killed.pid, signal.SIGKILL)
        while set(psutil.Process(bidder.pid).children()) <= {killed, other}:
            time.sleep(0.02)
        load.go_on()
    # A connection has one request in flight.
    assert max(load.failed) <= 1


def test_told_to_stop_a_bidder_fails_no_request(bidder: DaemonProcess) -> None:
    with under_load(bidder.port) as load:
        os.kill(bidder.pid, signal.SIGTERM)
        assert load.refused.wait(15)
    assert sum(load.failed) == 0


def test_connections_are_shared_evenly(bidder: DaemonProcess) -> None:
    with ExitStack() as closing:
        for _ in range(40):
            closing.enter_context(socket.create_connection(("127.0.0.1", bidder.port)))
            # Each is accepted before the next, as when exchanges connect one by one.
            time.sleep(0.02)
        [one, other] = [
            sum(there.status == psutil.CONN_ESTABLISHED for there in worker.net_connections("tcp4"))
            for worker in psutil.Process(bidder.pid).children()
        ]
    # Each is connected to Redis, and perhaps to Kafka.
    assert one + other >= 40
    assert abs(one - other) <= 8
