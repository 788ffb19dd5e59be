"""Two bidders on hosts of their own behind HAProxy: what an exchange sees when one is cut off."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.bidder.calling import CAMPAIGN
from tests.integration.bidder.load import under_load
from tests.integration.conftest import free_port
from tests.integration.hosts import Forwarder, Host, can_be_made
from tests.integration.test_haproxy import CONFIG, HAPROXY, SECRETS, ask, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy: install its package"),
    pytest.mark.skipif(
        shutil.which("ip") is None or not can_be_made(), reason="there can be no namespaces"
    ),
]

BIDDER_PORT = 8080


@pytest.fixture
def hosts(own_redis_url: str, tmp_path: Path) -> Iterator[list[Host]]:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date(), 0, 0)
    parts = urlsplit(own_redis_url)
    assert parts.port is not None
    made: list[Host] = []
    forwarders: list[Forwarder] = []
    try:
        for number in (1, 2):
            host = Host(number)
            made.append(host)
            forwarders.append(Forwarder(host.gateway, parts.port))
            state = tmp_path / f"host-{number}"
            state.mkdir()
            host.run(
                "daemons.bidder",
                {
                    **os.environ,
                    **SECRETS,
                    "ADCTL_STATE_DIR": str(state),
                    "ADCTL_REDIS_URL": own_redis_url.replace("127.0.0.1", host.gateway),
                    # Decisions are dropped: bids do not wait for them.
                    "ADCTL_KAFKA_BOOTSTRAP": f"{host.gateway}:1",
                    "ADCTL_TRACKER_PUBLIC_URL": "https://t.example",
                    "ADCTL_BIDDER_HOST": host.address,
                    "ADCTL_BIDDER_PORT": str(BIDDER_PORT),
                },
                state / "log",
            )
        yield made
    finally:
        for host in made:
            host.remove()
        for forwarder in forwarders:
            forwarder.close()


@pytest.fixture
def proxy(hosts: list[Host], tmp_path: Path) -> Iterator[int]:
    """Run HAProxy before both hosts; the port where exchanges post."""
    port = free_port()
    environment = {
        **os.environ,
        "ADCTL_EXCHANGES_ADDRESS": f"127.0.0.1:{port}",
        "ADCTL_BROWSERS_ADDRESS": f"127.0.0.1:{free_port()}",
        "ADCTL_HAPROXY_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
        **{f"ADCTL_BIDDER_{n}": f"{h.address}:{BIDDER_PORT}" for n, h in enumerate(hosts, 1)},
    }
    assert HAPROXY is not None
    with (tmp_path / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", str(CONFIG)], env=environment, stdout=log, stderr=log
        )
    try:
        eventually(lambda: ask(port) == 200)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_a_host_that_is_cut_off_costs_what_it_had_and_is_asked_again_when_it_is_back(
    hosts: list[Host], proxy: int
) -> None:
    for host in hosts:
        eventually(lambda host=host: ask(BIDDER_PORT, address=host.address) == 200)  # type: ignore[misc]
    with under_load(proxy) as load:
        hosts[0].cut_off()
        time.sleep(3)
        failed, answered = sum(load.failed), min(load.answered)
        while min(load.answered) < answered + 50:
            time.sleep(0.01)
        # What it had, and what came in the second that it took to see that it is gone.
        assert max(load.failed) <= 3
        assert sum(load.failed) == failed
        hosts[0].connect()
        hosts[1].cut_off()
        time.sleep(3)
        answered = min(load.answered)
        while min(load.answered) < answered + 50:
            time.sleep(0.01)
