"""A bidder of two workers under load: what is lost when one is killed, or when it has to stop."""

from __future__ import annotations

import json
import os
import signal
import time
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
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date(), 0, 0)
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
