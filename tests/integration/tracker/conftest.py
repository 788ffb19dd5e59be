"""A tracker in a process of its own, on a Redis of its own, and a connection to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from adctl.config import RedisSettings
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.tracker.street import CAMPAIGN, KEY, TOKEN_TTL_SEC, Street

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from adctl.control.daemon_process import DaemonProcess


@pytest.fixture(scope="module")
def tracker(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    return start_daemon(
        "tracker",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_SIGNING_KEYS=f"3:{KEY.hex()}",
        ADCTL_SIGNING_USER_KEY=KEY.hex(),
        ADCTL_TRACKER_TOKEN_TTL_SEC=str(TOKEN_TTL_SEC),
        # Nobody listens: the tracker must do without the api.
        ADCTL_API_PORT="1",
        ADCTL_CONVERSIONS_VIEW_WINDOW_SEC="3600",
        ADCTL_TRACKER_SPOOL_MAX_BYTES=str(1 << 20),
    )


@pytest.fixture
def street(tracker: DaemonProcess, own_redis_url: str) -> Iterator[Street]:
    with connect(own_redis_url, RedisSettings()) as client:
        street = Street(tracker.port, client, tracker.log.parent / "journal")
        begin_anew(client)
        yield street
        street.connection.close()


@pytest.fixture
def quiet_street(street: Street) -> Street:
    """A street of whose past the tracker has nothing in its journal."""
    street.empty_journal()
    begin_anew(street.redis)
    return street


def begin_anew(client: redis.Redis) -> None:
    """Let Redis have one campaign with its money, and nothing else."""
    client.flushdb()
    CatalogStore(client).fill([CAMPAIGN])
    Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
