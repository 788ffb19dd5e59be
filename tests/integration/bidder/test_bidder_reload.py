"""SIGHUP: a bidder that takes another configuration while it is asked."""

from __future__ import annotations

import http.client
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
from tests.integration.bidder.calling import BODY, CAMPAIGN, JSON
from tests.integration.bidder.load import under_load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adctl.control.daemon_process import DaemonProcess

_PATIENCE_SEC = 20


class Reloadable:
    """A bidder, and the file it is configured by."""

    def __init__(self, process: DaemonProcess, config: Path) -> None:
        self.process = process
        self._config = config

    def configure(self, **bidder: object) -> None:
        lines = [f"{key} = {json.dumps(value)}" for key, value in bidder.items()]
        self._config.write_text("\n".join(["[bidder]", *lines]) + "\n")
        os.kill(self.process.pid, signal.SIGHUP)

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def seat(self) -> str:
        client = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=5)
        client.request("POST", "/bid-request", BODY, JSON)
        answer = json.loads(client.getresponse().read())
        client.close()
        return str(answer["seatbid"][0]["seat"])

    def metric(self, name: str) -> float:
        client = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=5)
        client.request("GET", "/metrics")
        lines = client.getresponse().read().decode().splitlines()
        client.close()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def wait_for(self, told: str) -> None:
        """Wait until the log has this."""
        deadline = time.monotonic() + _PATIENCE_SEC
        while told not in self.process.log.read_text():
            assert time.monotonic() < deadline, self.process.log.read_text()
            time.sleep(0.02)

    def wait_for_workers(self, count: int) -> set[int]:
        deadline = time.monotonic() + _PATIENCE_SEC
        while len(found := self.workers()) != count:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found


@pytest.fixture
def bidder(
    own_redis_url: str, start_daemon: Callable[..., DaemonProcess], tmp_path: Path
) -> Reloadable:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
    config = tmp_path / "config.toml"
    config.write_text('[bidder]\nseat = "before"\n')
    process = start_daemon(
        "bidder",
        ADCTL_CONFIG=str(config),
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_TRACKER_PUBLIC_URL="https://t.example",
    )
    return Reloadable(process, config)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_fails_while_a_bidder_takes_another_configuration(
    bidder: Reloadable, workers: int
) -> None:
    if workers > 1:
        bidder.configure(seat="before", workers=workers)
        bidder.wait_for("reloaded")
    before = bidder.wait_for_workers(workers)
    with under_load(bidder.process.port) as load:
        bidder.configure(seat="after", workers=workers)
        deadline = time.monotonic() + _PATIENCE_SEC
        while bidder.workers() & before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        load.go_on()
    assert sum(load.failed) == 0
    assert {bidder.seat() for _ in range(10)} == {"after"}


def test_counters_go_on_where_the_workers_before_left_them(bidder: Reloadable) -> None:
    for _ in range(5):
        bidder.seat()
    before = bidder.wait_for_workers(1)
    bidder.configure(seat="after")
    bidder.wait_for("reloaded")
    while bidder.workers() & before:
        time.sleep(0.02)
    bidder.seat()
    assert bidder.metric("adctl_bids_total") == 6


def test_a_faulty_configuration_changes_nothing_and_is_named(bidder: Reloadable) -> None:
    before = bidder.wait_for_workers(1)
    bidder.configure(seat="after", max_imps=-1)
    bidder.wait_for("bidder.max_imps")
    assert bidder.workers() == before
    assert bidder.seat() == "before"


def test_workers_become_more_and_fewer(bidder: Reloadable) -> None:
    bidder.configure(workers=3)
    bidder.wait_for_workers(3)
    bidder.configure(workers=1)
    bidder.wait_for_workers(1)


def test_another_port_is_left_for_the_next_start(bidder: Reloadable) -> None:
    bidder.configure(host="127.0.0.2")
    bidder.wait_for("another address is taken at the next start")
    bidder.wait_for("reloaded")
    assert bidder.seat()
