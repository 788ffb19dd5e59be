"""What a worker waits for while Redis says nothing: next to nothing."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

import pytest

from adctl.config import RedisSettings
from adctl.errors import StoreUnavailableError
from adctl.stores import keys
from adctl.stores.budgets import Budgets
from adctl.stores.redis import connect
from adctl.stores.round_trip import SERVER_ID, HotConnection
from tests.integration.bidder.calling import CAMPAIGN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.config import Settings
    from adctl.stores.embedded.server import Server

TIMEOUT_MS = 50
PING = [("PING",)]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server as behind a network that swallows everything: it is there, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener


def silence(listener: socket.socket, clock: Callable[[], float] = time.monotonic) -> HotConnection:
    return HotConnection(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", TIMEOUT_MS, clock)


def waited_sec(connection: HotConnection) -> float:
    """Return how long a call takes that comes to nothing."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        connection.exchange(PING)
    return time.monotonic() - began


def test_only_the_first_call_waits_for_a_server_that_says_nothing(silent: socket.socket) -> None:
    connection = silence(silent, lambda: 0.0)
    assert waited_sec(connection) >= TIMEOUT_MS / 1000
    assert sum(waited_sec(connection) for _ in range(1000)) < TIMEOUT_MS / 1000


def test_silence_costs_ever_less_of_a_workers_time(silent: socket.socket) -> None:
    now = 0.0
    connection = silence(silent, lambda: now)
    asked_at = []
    while now < 10:
        if not connection.failing:
            asked_at.append(now)
        waited_sec(connection)
        now += 0.125
    assert asked_at[:5] == [0, 0.25, 0.75, 1.75, 2.75]
    assert len(asked_at) * TIMEOUT_MS / 1000 < 0.07 * 10


def test_a_server_that_refuses_is_asked_again_every_quarter_of_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    now = 0.0
    connection = HotConnection(f"redis://127.0.0.1:{port}/0", TIMEOUT_MS, lambda: now)
    while now < 2:
        assert not connection.failing
        waited_sec(connection)
        now += 0.25


def test_a_server_that_answers_again_is_given_the_short_pause_again(settings: Settings) -> None:
    now = 0.0
    url = settings.redis.url.get_secret_value()
    connection = HotConnection(url, TIMEOUT_MS, lambda: now)
    for _ in range(3):
        connection._failed(TimeoutError())
    now = 1.0
    connection.exchange(PING)
    connection._failed(TimeoutError())
    now = 1.25
    assert connection.exchange(PING) == ["PONG"]
    connection.close()


def test_a_command_is_told_which_server_it_is_sent_to(
    own_valkey: Server, own_redis_url: str
) -> None:
    connection = HotConnection(own_redis_url, 1000, lambda: next(moments))
    moments = count()
    named = []
    for _ in range(2):
        with connect(own_redis_url, RedisSettings()) as client:
            run_id = client.info("server")["run_id"]
        [told, plain] = connection.exchange([("ECHO", SERVER_ID), ("ECHO", str(SERVER_ID + "?"))])
        assert told == run_id
        assert plain == SERVER_ID + "?"
        named.append(told)
        own_valkey.stop()
        own_valkey.start(owned=True)
        with pytest.raises(StoreUnavailableError):
            connection.exchange(PING)
    assert len(set(named)) == 2
    connection.close()


def test_a_server_that_does_not_tell_who_it_is_has_no_name(own_redis_url: str) -> None:
    with connect(own_redis_url, RedisSettings()) as client:
        client.execute_command("ACL", "SETUSER", "quiet", "on", ">pw", "~*", "+@all", "-info")
        port = client.connection_pool.connection_kwargs["port"]
        url = f"redis://quiet:pw@127.0.0.1:{port}/0"
        connection = HotConnection(url, 1000)
        assert connection.exchange([("ECHO", SERVER_ID)]) == [""]
        with connect(url, RedisSettings()) as quiet:
            Budgets(quiet).sync(CAMPAIGN, datetime.now(UTC).date())
            assert quiet.hget(keys.budget(0, CAMPAIGN.id), "server") == ""
            assert Budgets(quiet).have_all([CAMPAIGN.id])
        assert not Budgets(client).have_all([CAMPAIGN.id])
        connection.close()
