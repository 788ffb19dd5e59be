from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.exceptions import AskError, MovedError

from adctl.config import RedisSettings
from adctl.config_urls import redis_node_urls
from adctl.errors import StoreUnavailableError
from adctl.stores.hot_cluster import HotCluster
from adctl.stores.redis import Script, connect
from adctl.stores.round_trip import RoundTrips

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adctl.stores.embedded.server import Server

SHARDS = 16


@pytest.fixture
def client(cluster_url: str) -> Iterator[redis.Redis]:
    with connect(cluster_url, RedisSettings()) as client:
        client.flushall()
        yield client


@pytest.fixture
def hot(cluster_url: str) -> Iterator[HotCluster]:
    hot = HotCluster(redis_node_urls(cluster_url), timeout_ms=2000)
    yield hot
    hot.close()


@pytest.fixture
def nodes(cluster_nodes: Sequence[Server]) -> Iterator[list[redis.Redis]]:
    """A client of each node, which speaks to that one alone."""
    with ExitStack() as closing:
        yield [
            closing.enter_context(
                redis.Redis(
                    port=server.port, password=server.record.password, decode_responses=True
                )
            )
            for server in cluster_nodes
        ]


def key(shard: int) -> str:
    return f"adctl:{{s{shard}}}:it"


def test_one_exchange_reaches_every_node_and_answers_in_order(
    client: redis.Redis, hot: HotCluster
) -> None:
    for shard in range(SHARDS):
        client.set(key(shard), shard)
    replies = hot.exchange([("GET", key(shard)) for shard in range(SHARDS)])
    assert replies == [str(shard) for shard in range(SHARDS)]


def test_nodes_are_asked_directly_once_they_are_known(
    hot: HotCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [("GET", key(shard)) for shard in range(SHARDS)]
    hot.exchange(commands)
    followed: list[object] = []
    monkeypatch.setattr(hot, "_follow", lambda *args: followed.append(args))
    assert len(hot.exchange(commands)) == SHARDS
    assert followed == []


def test_script_runs_on_the_node_of_its_keys_though_none_knows_it(
    client: redis.Redis, hot: HotCluster
) -> None:
    client.script_flush()
    trips = RoundTrips(hot)
    for shard in range(SHARDS):
        assert trips.run(Script("roll_day"), [key(shard)], ["2026-01-01"]) == 0


def test_ping_is_answered_by_any_node(hot: HotCluster) -> None:
    RoundTrips(hot).ping()


def test_cluster_that_is_away_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    hot = HotCluster([f"redis://127.0.0.1:{port}/0"], timeout_ms=50)
    with pytest.raises(StoreUnavailableError):
        RoundTrips(hot).get(key(1))


def test_slot_in_migration_is_asked_for_at_its_new_node(
    cluster_nodes: Sequence[Server],
    nodes: list[redis.Redis],
    client: redis.Redis,
    hot: HotCluster,
) -> None:
    """A key that has moved already is served by the new node, which is not asked the next time."""
    client.set(key(3), "moved")
    hot.exchange([("GET", key(3))])
    source = next(node for node in nodes if error_of(node, key(3)) is None)
    target = next(node for node in nodes if node is not source)
    slot = source.execute_command("CLUSTER", "KEYSLOT", key(3))
    ids = [node.execute_command("CLUSTER", "MYID") for node in (source, target)]
    target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    password = cluster_nodes[0].record.password
    port = target.connection_pool.connection_kwargs["port"]
    source.execute_command("MIGRATE", "127.0.0.1", port, key(3), 0, 1000, "AUTH", password)
    assert isinstance(error_of(source, key(3)), AskError)
    assert hot.exchange([("GET", key(3)), ("GET", key(1))]) == ["moved", None]
    for node in (target, source):
        node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    assert isinstance(error_of(source, key(3)), MovedError)
    assert hot.exchange([("GET", key(3))]) == ["moved"]


def test_node_that_ends_takes_only_its_own_shards_along(
    cluster_nodes: Sequence[Server], client: redis.Redis, hot: HotCluster
) -> None:
    for shard in range(SHARDS):
        client.set(key(shard), shard)
    commands = [("GET", key(shard)) for shard in range(SHARDS)]
    before = hot.exchange(commands)
    cluster_nodes[2].stop()
    replies = hot.exchange(commands)
    lost = [reply for reply in replies if isinstance(reply, StoreUnavailableError)]
    assert 0 < len(lost) < SHARDS
    assert all(now == then or now in lost for now, then in zip(replies, before, strict=True))
    assert set(map(type, lost)) == {StoreUnavailableError}


def error_of(node: redis.Redis, name: str) -> Any:
    try:
        node.get(name)
    except redis.RedisError as exc:
        return exc
    return None
