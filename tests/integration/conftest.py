"""What tests on real stores share: events on their way to reports, daemons, and servers to end."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
import redis

from adctl.control.daemon_process import DaemonProcess, Health
from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.proving import Prover
from adctl.control.redis_watch import RedisWatch
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.embedded.kafka import Kafka
from adctl.stores.embedded.ports import free_port
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import ServerRecord
from adctl.stores.embedded.valkey import Valkey
from adctl.stores.postgres import open_pool
from adctl.stores.stream import EventStream
from adctl.stores.tables import open_engine
from tests.apache_kafka.broker import apache_kafka
from tests.integration.house import House
from tests.integration.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.stores.endpoints import Endpoints


@pytest.fixture
def pool(
    settings: Settings, postgres: psycopg.Connection
) -> Iterator[ConnectionPool[psycopg.Connection]]:
    """A pool on emptied tables."""
    with open_pool(settings.postgres.url.get_secret_value(), settings.postgres) as pool:
        yield pool


@pytest.fixture
def stream(redis_client: redis.Redis) -> EventStream:
    """The event stream of an emptied Valkey."""
    return EventStream(redis_client)


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Make an impression of campaign 1 that costs 2,500,000 nanos, or what is asked for."""
    now = datetime.now(UTC)

    def make(event_id: str, **changes: object) -> Event:
        event = Event(
            event_id=event_id,
            event_date=now.date().isoformat(),
            kind=EventKind.IMPRESSION,
            occurred_at_ms=int(now.timestamp() * 1000),
            bid_id=f"bid-{event_id}",
            campaign_id=1,
            creative_id=2,
            exchange="default",
            price_cpm_micros=2_500_000,
            cost_nanos=2_500_000,
        )
        return msgspec.structs.replace(event, **changes)

    return make


@pytest.fixture
def append(redis_client: redis.Redis) -> Callable[..., None]:
    """Append events to the stream, as the tracker's script does."""

    def append_all(*events: Event, late: str = "0") -> None:
        for event in events:
            fields = {"e": msgspec.json.encode(event), "late": late}
            redis_client.xadd(keys.events(SHARD), fields)

    return append_all


@pytest.fixture
def broker(tmp_path: Path, apache: bool) -> Iterator[Server]:
    """A broker of the test's own that forgets everything when it is started again."""
    record = ServerRecord(port=free_port("127.0.0.1"))
    server = (
        apache_kafka(tmp_path, forgets=True)
        if apache
        else Server(Kafka(tmp_path, "127.0.0.1", record), tmp_path, record, lambda: None)
    )
    server.start(owned=True)
    yield server
    server.stop()


@pytest.fixture
def lasting_broker(tmp_path: Path, apache: bool) -> Iterator[Server]:
    """An Apache Kafka of the test's own that keeps its log when it is killed and started again."""
    server = apache_kafka(tmp_path)
    server.start(owned=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey of the module's own, to be stopped and started again."""
    folder = tmp_path_factory.mktemp("valkey")
    record = ServerRecord(port=free_port("127.0.0.1"), password="of-no-consequence")
    server = Server(Valkey(folder, "127.0.0.1", record), folder, record, lambda: None)
    server.start(owned=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_redis_url(own_valkey: Server) -> str:
    """Where the module's own Valkey is; the same after a restart."""
    return f"redis://:{own_valkey.record.password}@127.0.0.1:{own_valkey.port}/0"


@pytest.fixture(scope="module")
def cluster_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """A cluster of three Valkeys, a third of the slots each, without replicas."""
    servers = []
    for number in range(3):
        folder = tmp_path_factory.mktemp(f"node{number}")
        record = ServerRecord(port=free_port("127.0.0.1"), password="of-no-consequence")
        node = ClusteredValkey(folder, "127.0.0.1", record)
        servers.append(Server(node, folder, record, lambda: None))
        servers[-1].start(owned=True)
    join_into_cluster(servers)
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def cluster_url(cluster_nodes: list[Server]) -> str:
    """Where the cluster is; its first node alone, which knows the others."""
    first = cluster_nodes[0]
    return f"redis+cluster://:{first.record.password}@127.0.0.1:{first.port}"


class ClusteredValkey(Valkey):
    """A Valkey that can be a node of a cluster."""

    def _configuration(self) -> dict[str, str]:
        return {
            **super()._configuration(),
            "cluster-enabled": "yes",
            "cluster-port": str(free_port("127.0.0.1")),
            "cluster-node-timeout": "1000",
        }


def join_into_cluster(servers: list[Server]) -> None:
    """Make ``servers`` one cluster, with the slots spread evenly; return when they agree."""
    clients = [
        redis.Redis(port=server.port, password=server.record.password, decode_responses=True)
        for server in servers
    ]
    bus = clients[0].config_get("cluster-port")["cluster-port"]
    slots = 16_384
    for number, client in enumerate(clients):
        first, after = (slots * at // len(clients) for at in (number, number + 1))
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
        if number:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port, bus)
    deadline = time.monotonic() + 20
    while not all(client.cluster("INFO")["cluster_state"] == "ok" for client in clients):
        assert time.monotonic() < deadline, "the nodes do not become a cluster"
        time.sleep(0.02)
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def start_daemon(
    endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., DaemonProcess]]:
    """Start a daemon on the session's stores, or on what is asked for, and wait until it is ready.

    ``start_daemon("bidder", ADCTL_REDIS_URL=…)``. It has a state folder of its own, and ends with
    the module.
    """
    started: list[DaemonProcess] = []
    lock = os.open(os.devnull, os.O_RDONLY)

    def start(name: str, **environment: str) -> DaemonProcess:
        state, port = tmp_path_factory.mktemp(name), free_port("127.0.0.1")
        stores = {
            "ADCTL_STATE_DIR": str(state),
            "ADCTL_POSTGRES_URL": endpoints.postgres_url,
            "ADCTL_REDIS_URL": endpoints.redis_url,
            "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
            f"ADCTL_{name.upper()}_PORT": str(port),
        }
        process = DaemonProcess(
            name, ("127.0.0.1", port), {**os.environ, **stores, **environment}, state / "log"
        )
        process.start(lock)
        started.append(process)
        _await_readiness(process)
        return process

    yield start
    for process in started:
        process.stop()
    os.close(lock)


def _await_readiness(process: DaemonProcess) -> None:
    deadline = time.monotonic() + 20
    while process.readiness().health is not Health.READY:
        if not process.alive():
            raise process.failure()
        assert time.monotonic() < deadline, process.readiness()
        time.sleep(0.05)


@pytest.fixture
def house(
    settings: Settings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
) -> Iterator[House]:
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    plane = ControlPlane(engine, CatalogStore(redis_client), Budgets(redis_client))
    yield House(plane, redis_client, Flusher(pool, stream))
    engine.dispose()


@pytest.fixture
def plant(
    redis_client: redis.Redis, pool: ConnectionPool[psycopg.Connection], kafka: KafkaSettings
) -> Iterator[Plant]:
    """Both consumer groups, with their ways to Kafka."""
    plant = Plant(redis_client, pool, kafka)
    yield plant
    plant.close()


@pytest.fixture
def watch(
    pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis, house: House
) -> RedisWatch:
    plane = house.plane
    return RedisWatch(pool, redis_client, plane.catalog, plane.budgets, [house.flusher], 0)


@pytest.fixture
def broken(
    pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis
) -> Callable[[], list[str]]:
    def prove() -> list[str]:
        return [breach.invariant for breach in Prover(pool, redis_client).prove().breaches]

    return prove
