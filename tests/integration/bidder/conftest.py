"""A bidder in a process of its own, on a Redis of its own, and a connection to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.bidder.calling import (
    ARRIVAL_TIMEOUT_SEC,
    CAMPAIGN,
    EXCHANGES,
    MAX_BODY_BYTES,
    Caller,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.control.daemon_process import DaemonProcess


@pytest.fixture(scope="module")
def bidder(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
    return start_daemon(
        "bidder",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_KAFKA_TOPIC_PREFIX="bidder-http-",
        ADCTL_TRACKER_PUBLIC_URL="https://t.example",
        ADCTL_BIDDER_MAX_BODY_BYTES=str(MAX_BODY_BYTES),
        ADCTL_BIDDER_ARRIVAL_TIMEOUT_SEC=str(ARRIVAL_TIMEOUT_SEC),
        ADCTL_EXCHANGES=json.dumps(EXCHANGES),
    )


@pytest.fixture
def caller(bidder: DaemonProcess) -> Iterator[Caller]:
    caller = Caller(bidder.port)
    yield caller
    caller.connection.close()
