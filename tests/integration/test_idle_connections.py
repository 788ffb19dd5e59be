"""Thousands of connections that ask nothing, held open on each daemon: who comes is answered."""

from __future__ import annotations

import http.client
import resource
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from adctl.stores.catalog import CatalogStore
from tests.integration.bidder.calling import CAMPAIGN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from adctl.control.daemon_process import DaemonProcess

IDLE = 5000
SECRETS = {"ADCTL_SIGNING_KEYS": f"1:{'11' * 32}", "ADCTL_SIGNING_USER_KEY": "22" * 32}


@pytest.fixture
def hold() -> Iterator[Callable[[int, bytes], Sequence[socket.socket]]]:
    """Connect as often as this process may, and keep it; send some bytes over each."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    many = IDLE if before[1] == resource.RLIM_INFINITY else min(IDLE, before[1] - 500)
    with ExitStack() as closing:

        def held(port: int, sent: bytes) -> Sequence[socket.socket]:
            socks = []
            for _ in range(many):
                sock = closing.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                if sent:
                    sock.sendall(sent)
                socks.append(sock)
            return socks

        yield held
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def wait_for_answer_sec(port: int) -> float:
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("GET", "/health/live")
    answer = client.getresponse()
    assert answer.status == http.client.OK
    answer.read()
    client.close()
    return time.monotonic() - began


@pytest.mark.parametrize("sent", [b"", b"G"], ids=["silent", "begun"])
@pytest.mark.parametrize("name", ["bidder", "tracker", "api", "flusher", "consumer", "pacer"])
def test_idle_connections_keep_nobody_from_being_answered_within_a_second(
    start_daemon: Callable[..., DaemonProcess],
    hold: Callable[[int, bytes], Sequence[socket.socket]],
    redis_client: redis.Redis,
    name: str,
    sent: bytes,
) -> None:
    CatalogStore(redis_client).fill([CAMPAIGN])
    daemon = start_daemon(name, **SECRETS, ADCTL_CONNECTIONS_FIRST_BYTE_SEC="60")
    hold(daemon.port, sent)
    waits = [wait_for_answer_sec(daemon.port) for _ in range(10)]
    assert sorted(waits)[5] < 1
