"""The bidder while its Redis is away, stalled or empty."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adctl.config import RedisSettings
from adctl.control.daemon_process import Health
from adctl.stores.budgets import Budgets
from adctl.stores.redis import connect
from tests.integration.bidder.calling import CAMPAIGN, JSON, Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not come about within 10 s"
        time.sleep(0.05)


def make_money(redis_url: str) -> None:
    with connect(redis_url, RedisSettings()) as client:
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())


def test_without_redis_there_are_no_bids_and_the_bidder_is_not_ready(
    own_valkey: Server, own_redis_url: str, bidder: DaemonProcess, caller: Caller
) -> None:
    unavailable = caller.count("unavailable")
    own_valkey.stop()
    try:
        began = time.monotonic()
        reply = caller.call()
        # The request's tmax, and some for a busy machine.
        assert time.monotonic() - began < 0.2 + 0.8
        assert (reply.status, reply.body) == (204, b"")
        assert caller.count("unavailable") == unavailable + 1
        assert bidder.readiness().health is Health.NOT_READY
        assert caller.call(None, {}, "GET", "/health/live").status == 200
    finally:
        own_valkey.start(owned=True)
    eventually(lambda: bidder.readiness().health is Health.READY)
    make_money(own_redis_url)
    eventually(lambda: caller.call().status == 200)


def test_stalled_redis_does_not_stall_the_bidder(
    own_valkey: Server, bidder: DaemonProcess, caller: Caller
) -> None:
    os.kill(own_valkey.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert [caller.call().status for _ in range(5)] == [204] * 5
        assert time.monotonic() - began < 0.2 + 0.8
        assert bidder.readiness().health is Health.NOT_READY
    finally:
        os.kill(own_valkey.pid, signal.SIGCONT)
    eventually(lambda: caller.call().status == 200)


def test_emptied_redis_is_not_bid_on_until_its_money_is_back(
    own_redis_url: str, caller: Caller
) -> None:
    with connect(own_redis_url, RedisSettings()) as client:
        client.flushdb()
    assert caller.call().status == 204
    make_money(own_redis_url)
    assert caller.call().status == 200


def test_money_made_before_a_restart_is_not_bid_until_it_is_made_anew(
    own_valkey: Server, own_redis_url: str, bidder: DaemonProcess, caller: Caller
) -> None:
    eventually(lambda: caller.call().status == 200)
    own_valkey.stop()
    own_valkey.start(owned=True)
    eventually(lambda: bidder.readiness().health is Health.READY)
    with connect(own_redis_url, RedisSettings()) as client:
        assert 1 in Budgets(client).read([1])
        assert not Budgets(client).have_all([1])
    assert [caller.call().status for _ in range(5)] == [204] * 5
    # By the way of those whose header has not come before, too.
    strangers = [{**JSON, "X-Stranger": str(number)} for number in range(5)]
    assert [caller.call(headers=headers).status for headers in strangers] == [204] * 5
    assert Caller(bidder.port).call(headers={**JSON, "Connection": "close"}).status == 204
    make_money(own_redis_url)
    eventually(lambda: caller.call().status == 200)
