"""A Redis that says nothing costs a tracker next to nothing of its time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.embedded.ports import free_port
from adctl.stores.redis import connect
from tests.chaos.proxy import FaultyProxy
from tests.integration.tracker.street import CAMPAIGN, KEY, TOKEN_TTL_SEC, Street, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.embedded.server import Server

SILENT_SEC = 3.0


@pytest.fixture
def network(own_valkey: Server) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(free_port("127.0.0.1"), own_valkey.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def street(
    own_redis_url: str,
    own_valkey: Server,
    network: FaultyProxy,
    start_daemon: Callable[..., DaemonProcess],
) -> Iterator[Street]:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
        tracker = start_daemon(
            "tracker",
            ADCTL_REDIS_URL=own_redis_url.replace(f":{own_valkey.port}/", f":{network.port}/"),
            ADCTL_SIGNING_KEYS=f"3:{KEY.hex()}",
            ADCTL_SIGNING_USER_KEY=KEY.hex(),
            ADCTL_TRACKER_TOKEN_TTL_SEC=str(TOKEN_TTL_SEC),
            ADCTL_API_PORT="1",
            # What is measured is what is waited for Redis: one worker shows all of it.
            ADCTL_TRACKER_WORKERS="1",
        )
        street = Street(tracker.port, client, tracker.log.parent / "journal")
        yield street
        street.connection.close()


def test_a_tracker_goes_on_at_its_pace_while_redis_says_nothing(
    street: Street, network: FaultyProxy
) -> None:
    bids = [street.bid() for _ in range(300)]
    street.tell(bids.pop(), "impression")
    network.partition(SILENT_SEC)
    took_ms = []
    until = time.monotonic() + SILENT_SEC
    while time.monotonic() < until and bids:
        began = time.monotonic()
        assert street.tell(bids.pop(), "impression").status == 200
        took_ms.append((time.monotonic() - began) * 1000)
        time.sleep(0.005)
    told = len(took_ms) + 1
    waited = sum(took > 40 for took in took_ms)
    # At first, and whenever it looks whether Redis is back.
    assert waited <= 8, f"{waited} of {len(took_ms)} answers waited for Redis"
    eventually(lambda: len(street.events) == told)
    assert len({event.event_id for event in street.events}) == told
