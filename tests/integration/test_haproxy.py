"""Two bidders behind HAProxy, as deploy/haproxy.cfg sets it up: what an exchange sees of a loss."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from adctl.control.daemon_process import DaemonProcess  # noqa: TC004 - an annotation alone


pytestmark = needs_haproxy


class Site(NamedTuple):
    """A proxy, and the daemons behind it."""

    exchanges: int
    browsers: int
    metrics: int
    bidders: list[DaemonProcess]


@pytest.fixture
def site(
    own_redis_url: str, start_daemon: Callable[..., DaemonProcess], tmp_path: Path
) -> Iterator[Site]:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
    shared = {
        **SECRETS,
        "ADCTL_REDIS_URL": own_redis_url,
        "ADCTL_TRACKER_PUBLIC_URL": "https://t.example",
    }
    bidders = [start_daemon("bidder", **shared) for _ in range(2)]
    tracker = start_daemon("tracker", **shared)
    ports = [free_port("127.0.0.1") for _ in range(3)]
    names = ("EXCHANGES", "BROWSERS", "HAPROXY_METRICS")
    environment = {
        **{f"ADCTL_{n}_ADDRESS": f"127.0.0.1:{p}" for n, p in zip(names, ports, strict=True)},
        **{f"ADCTL_BIDDER_{n}": f"127.0.0.1:{b.port}" for n, b in enumerate(bidders, 1)},
        **{f"ADCTL_TRACKER_{n}": f"127.0.0.1:{tracker.port}" for n in (1, 2)},
    }
    with haproxy(CONFIG, tmp_path / "haproxy.log", environment):
        site = Site(*ports, bidders)
        eventually(lambda: ask(site.exchanges) == http.client.OK)
        yield site


def test_a_killed_bidder_costs_no_bid_beyond_those_in_flight(site: Site) -> None:
    with under_load(site.exchanges) as load:
        os.kill(site.bidders[0].pid, signal.SIGKILL)
        time.sleep(1)
        load.go_on()
    # A connection has one request in flight.
    assert max(load.failed) <= 1


def test_a_bidder_that_is_told_to_stop_costs_none(site: Site) -> None:
    with under_load(site.exchanges) as load:
        os.kill(site.bidders[0].pid, signal.SIGTERM)
        eventually(lambda: not site.bidders[0].alive())
        load.go_on()
    assert sum(load.failed) == 0


def test_without_any_bidder_there_is_no_bid_and_no_error_until_one_comes_back(site: Site) -> None:
    for bidder in site.bidders:
        bidder.stop()
    eventually(lambda: ask(site.exchanges) == http.client.NO_CONTENT)
    lock = os.open(os.devnull, os.O_RDONLY)
    site.bidders[1].start(lock)
    os.close(lock)
    eventually(lambda: ask(site.exchanges) == http.client.OK)


def test_the_world_reaches_the_tracker_but_nothing_that_is_for_operators(site: Site) -> None:
    forged = "/track/impression?t=forged"
    eventually(lambda: ask(site.browsers, "GET", forged) not in (0, 503))
    assert ask(site.browsers, "GET", forged) in range(400, 500)
    for path in ("/metrics", "/health/ready"):
        assert ask(site.exchanges, "GET", path) == http.client.NOT_FOUND
        assert ask(site.browsers, "GET", path) == http.client.NOT_FOUND
    assert ask(site.metrics, "GET", "/metrics") == http.client.OK


def told(port: int, message: bytes, address: str = "127.0.0.1") -> bytes:
    """All that is answered until the connection is closed."""
    with socket.create_connection(
        ("127.0.0.1", port), timeout=15, source_address=(address, 0)
    ) as client:
        client.sendall(message)
        got = b""
        with suppress(OSError):
            while more := client.recv(4096):
                got += more
        return got


def test_message_that_can_be_read_in_two_ways_is_read_in_one_and_nothing_behind_it(
    site: Site,
) -> None:
    behind = b"GET /track/impression?t=forged HTTP/1.1\r\nHost: x\r\n\r\n"
    begun = b"POST /track/impression?t=forged HTTP/1.1\r\n"
    both = b"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for unclear in (
        both,
        b"Content-Length: 0\r\n\r\n",
        b"Host: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n",
        b"Host: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        answer = told(site.browsers, begun + unclear + behind)
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500
        assert answer.count(b"HTTP/1.1 ") == 1


def test_who_says_nothing_to_the_proxy_is_gone_within_seconds(site: Site) -> None:
    for port in (site.exchanges, site.browsers):
        began = time.monotonic()
        told(port, b"G")
        assert 3 < time.monotonic() - began < 10


def test_one_address_cannot_hold_all_of_the_proxys_connections(site: Site) -> None:
    with ExitStack() as closing:
        for _ in range(260):
            # Whoever is refused may learn of it before he is connected.
            with suppress(ConnectionResetError):
                client = socket.create_connection(("127.0.0.1", site.browsers), 5)
                closing.enter_context(client)
                client.sendall(b"G")
        request = b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with suppress(ConnectionResetError):
            assert told(site.browsers, request) == b""
        assert told(site.browsers, request, "127.0.0.2").startswith(b"HTTP/1.1 404")
