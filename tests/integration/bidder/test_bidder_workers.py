"""A bidder of two workers under load: what is lost when one is killed, or when it has to stop."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil
import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.bidder.calling import BODY, CAMPAIGN, EXCHANGES, JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.control.daemon_process import DaemonProcess

CONNECTIONS = 8


@pytest.fixture
def bidder(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date(), 0, 0)
    return start_daemon(
        "bidder",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_BIDDER_WORKERS="2",
        ADCTL_TRACKER_PUBLIC_URL="https://t.example",
        ADCTL_EXCHANGES=json.dumps(EXCHANGES),
    )


class Load:
    """Clients that send request after request, each on a connection it keeps while it may."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = [0] * CONNECTIONS
        self.failed = [0] * CONNECTIONS
        self.refused = threading.Event()
        self.stop = threading.Event()

    def send(self, number: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        while not self.stop.is_set():
            try:
                if client.sock is None:
                    client.connect()
            except OSError:
                # Nobody listens, so nothing was sent.
                self.refused.set()
                return
            try:
                client.request("POST", "/bid-request", BODY, JSON)
                answer = client.getresponse()
                answer.read()
                self.answered[number] += answer.status in (200, 204)
            except (OSError, http.client.HTTPException):
                self.failed[number] += 1
                client.close()
        client.close()


@contextmanager
def under_load(port: int) -> Iterator[Load]:
    load = Load(port)
    threads = [threading.Thread(target=load.send, args=(n,)) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    while min(load.answered) < 5:
        time.sleep(0.01)
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join()


def test_killed_worker_costs_the_requests_in_flight_only(bidder: DaemonProcess) -> None:
    with under_load(bidder.port) as load:
        [killed, other] = psutil.Process(bidder.pid).children()
        os.kill(killed.pid, signal.SIGKILL)
        while set(psutil.Process(bidder.pid).children()) <= {killed, other}:
            time.sleep(0.02)
        after = min(load.answered)
        while min(load.answered) < after + 20:
            time.sleep(0.01)
    # A connection has one request in flight.
    assert max(load.failed) <= 1


def test_told_to_stop_a_bidder_fails_no_request(bidder: DaemonProcess) -> None:
    with under_load(bidder.port) as load:
        os.kill(bidder.pid, signal.SIGTERM)
        assert load.refused.wait(15)
    assert sum(load.failed) == 0
