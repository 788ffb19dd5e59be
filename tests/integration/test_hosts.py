"""Bidders on hosts of their own behind HAProxy: one dies, one is cut off.

The hosts are network namespaces. Where none can be made (by who is not root), these are left out.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.embedded.ports import free_port
from adctl.stores.redis import connect
from tests.integration.balancing import CONFIG, SECRETS, ask, eventually, haproxy, needs_haproxy
from tests.integration.bidder.calling import CAMPAIGN
from tests.integration.bidder.load import under_load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
PORT = 8080

# What binds this host's Redis, which is on loopback, to the addresses its neighbours know.
FORWARD = """
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
listen redis
    bind {addresses}
    server redis 127.0.0.1:{port}
"""


def ip(*words: str) -> subprocess.CompletedProcess[bytes]:
    assert IP is not None
    return subprocess.run([IP, *words], check=True, capture_output=True, timeout=10)


def can_make_namespaces() -> bool:
    if IP is None:
        return False
    name = f"adctl-probe-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


pytestmark = [
    needs_haproxy,
    pytest.mark.skipif(not can_make_namespaces(), reason="no network namespaces can be made here"),
]


class Host(NamedTuple):
    """A network namespace, and the addresses of both ends of the cable to it."""

    name: str
    near: str
    address: str

    # At the far end: with the near one the way there would be gone, and others be asked instead.
    def cut_off(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "down")

    def connect(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "up")


@contextmanager
def a_host(number: int) -> Iterator[Host]:
    # Names and addresses of this process alone: a namespace is gone only some time after its end.
    name, cable = f"adctl-{os.getpid()}-{number}", f"adctl{os.getpid() % 10**6}-{number}"
    base = f"10.213.{os.getpid() % 100}"
    first = 4 * number
    host = Host(name, f"{base}.{first + 1}", f"{base}.{first + 2}")
    # Whatever becomes of the cable, nothing goes anywhere else.
    nowhere = ("unreachable", f"{base}.{first}/30", "metric", "4096")
    ip("route", "add", *nowhere)
    ip("netns", "add", name)
    try:
        ip("link", "add", cable, "type", "veth", "peer", "eth0", "netns", name)
        ip("addr", "add", f"{host.near}/30", "dev", cable)
        ip("link", "set", cable, "up")
        ip("-n", name, "addr", "add", f"{host.address}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "lo", "up")
        host.connect()
        yield host
    finally:
        ip("netns", "delete", name)
        with suppress(subprocess.CalledProcessError):  # it may have gone with the other end
            ip("link", "delete", cable)
        ip("route", "delete", *nowhere)


@contextmanager
def a_bidder_on(host: Host, folder: Path, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    assert IP is not None
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ADCTL_")},
        **SECRETS,
        "ADCTL_STATE_DIR": str(folder),
        "ADCTL_REDIS_URL": redis_url,
        # Decisions wait for a broker, which these hosts do not reach; bids do not.
        "ADCTL_KAFKA_BOOTSTRAP": f"{host.near}:9092",
        "ADCTL_BIDDER_HOST": host.address,
        "ADCTL_BIDDER_PORT": str(PORT),
        "ADCTL_TRACKER_PUBLIC_URL": "https://t.example",
    }
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [IP, "netns", "exec", host.name, sys.executable, "-P", "-m", "daemons.bidder"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


class Site(NamedTuple):
    """Where exchanges ask, and the hosts that answer."""

    exchanges: int
    hosts: list[Host]
    bidders: list[subprocess.Popen[bytes]]


@pytest.fixture
def site(own_redis_url: str, tmp_path: Path) -> Iterator[Site]:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
    redis_port = own_redis_url.rpartition(":")[2].split("/")[0]
    with ExitStack() as closing:
        hosts = [closing.enter_context(a_host(number)) for number in range(2)]
        forward = tmp_path / "forward.cfg"
        near = ",".join(f"{host.near}:{redis_port}" for host in hosts)
        forward.write_text(FORWARD.format(addresses=near, port=redis_port))
        closing.enter_context(haproxy(forward, tmp_path / "forward.log"))
        bidders = [
            closing.enter_context(
                a_bidder_on(
                    host, tmp_path / host.name, own_redis_url.replace("127.0.0.1", host.near)
                )
            )
            for host in hosts
        ]
        exchanges, browsers, metrics = (free_port("127.0.0.1") for _ in range(3))
        addresses = {
            "ADCTL_EXCHANGES_ADDRESS": f"127.0.0.1:{exchanges}",
            "ADCTL_BROWSERS_ADDRESS": f"127.0.0.1:{browsers}",
            "ADCTL_HAPROXY_METRICS_ADDRESS": f"127.0.0.1:{metrics}",
            **{f"ADCTL_BIDDER_{n}": f"{host.address}:{PORT}" for n, host in enumerate(hosts, 1)},
        }
        closing.enter_context(haproxy(CONFIG, tmp_path / "haproxy.log", addresses))
        eventually(lambda: all(bids(host) for host in hosts))
        eventually(lambda: ask(exchanges) == http.client.OK)
        yield Site(exchanges, hosts, bidders)


def bids(host: Host) -> bool:
    return ask(PORT, address=host.address) == http.client.OK


def test_a_bidder_that_dies_on_its_host_costs_the_requests_in_flight_only(site: Site) -> None:
    with under_load(site.exchanges) as load:
        site.bidders[0].kill()
        time.sleep(1)
        load.go_on()
    assert max(load.failed) <= 1


def test_a_host_that_is_cut_off_costs_the_requests_in_flight_and_comes_back(site: Site) -> None:
    with under_load(site.exchanges) as load:
        site.hosts[0].cut_off()
        time.sleep(2)
        load.go_on()
    assert max(load.failed) <= 1
    site.hosts[0].connect()
    eventually(lambda: bids(site.hosts[0]))
    site.bidders[1].kill()
    # Without a bidder it would be 204.
    eventually(lambda: ask(site.exchanges) == http.client.OK)
