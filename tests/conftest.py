"""One embedded stack for the whole session, and clean stores for each test that asks for them.

A test that starts daemons takes ``settings`` together with ``postgres`` and ``redis_client``, which
empty those stores before it begins. With ``--kafka=apache`` the broker is Apache Kafka, and only
the tests that reach it run.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest

from adctl.config import KafkaSettings, Settings, load_settings
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.migrations import migrate
from adctl.stores.redis import connect
from tests.apache_kafka.broker import apache_kafka, find_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from adctl.stores.endpoints import Endpoints

# Who asks for one of these reaches the broker; some exist on Apache Kafka alone.
APACHE_FIXTURES = {"lasting_broker", "apache_alone"}
BROKER_FIXTURES = {"kafka", "broker", *APACHE_FIXTURES}
# Input is made slowly where the machine is busy with other tests, and on the first run of all, when
# hypothesis makes its tables of characters.
hypothesis.settings.register_profile(
    "adctl", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("adctl")

DAEMONS = ("bidder", "tracker", "api", "flusher", "consumer", "pacer")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line choose the broker."""
    brokers = ("embedded", "apache")
    parser.addoption("--kafka", choices=brokers, default="embedded", help="the broker of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that the chosen broker is not for."""
    apache = config.getoption("--kafka") == "apache"
    chosen, others = [], []
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        fits = bool(fixtures & BROKER_FIXTURES if apache else not fixtures & APACHE_FIXTURES)
        (chosen if fits else others).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def state_dir() -> Iterator[Path]:
    """A state folder for the session, which PostgreSQL's own account can enter too."""
    folder = Path(tempfile.mkdtemp(prefix="adctl-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack(state_dir: Path) -> Iterator[EmbeddedStack]:
    """PostgreSQL (migrated), Valkey and the broker; they end with this process whatever happens."""
    servers = EmbeddedStack(state_dir / "stack")
    servers.start(owned=True)
    migrate(servers.endpoints().postgres_url)
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def apache(request: pytest.FixtureRequest) -> bool:
    """Whether the broker is Apache Kafka. Skips (in CI: fails) where that cannot be had."""
    if request.config.getoption("--kafka") == "embedded":
        return False
    try:
        find_program()
    except OSError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Apache Kafka here: {exc}")
    return True


@pytest.fixture(scope="session")
def apache_alone(apache: bool) -> None:
    """For a test that starts an Apache Kafka itself; there is nothing else it runs on."""


@pytest.fixture(scope="session")
def endpoints(stack: EmbeddedStack, state_dir: Path, apache: bool) -> Iterator[Endpoints]:
    """Where the session's stores are."""
    if not apache:
        yield stack.endpoints()
        return
    server = apache_kafka(state_dir)
    server.start(owned=True)
    yield dataclasses.replace(stack.endpoints(), kafka_bootstrap=f"127.0.0.1:{server.port}")
    server.stop()


@pytest.fixture(scope="session")
def settings(state_dir: Path, endpoints: Endpoints) -> Settings:
    """Settings for the session's stores, with every daemon on a free port."""
    return load_settings(
        overrides={
            "state_dir": state_dir,
            "postgres": {"url": endpoints.postgres_url},
            "redis": {"url": endpoints.redis_url},
            "kafka": {"bootstrap": endpoints.kafka_bootstrap},
            **{daemon: {"port": 0} for daemon in DAEMONS},
        }
    )


@pytest.fixture
def postgres(endpoints: Endpoints) -> Iterator[psycopg.Connection]:
    """A connection to a migrated database with empty tables and fresh ids."""
    with psycopg.connect(endpoints.postgres_url) as connection:
        empty_tables(connection)
        yield connection


_TABLES = (
    "SELECT format('%I', tablename) FROM pg_tables "
    "WHERE schemaname = 'public' AND tablename !~ '^_?yoyo'"
)
_USED_SEQUENCES = (
    "SELECT format('%I', sequencename) FROM pg_sequences "
    "WHERE schemaname = 'public' AND last_value IS NOT NULL"
)


def empty_tables(connection: psycopg.Connection) -> None:
    # As a replica, neither the trigger that keeps the ledger append-only nor references stop it.
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute("SET LOCAL lock_timeout = '10s'")
    names = [name for (name,) in connection.execute(_TABLES)]
    has_rows = " UNION ALL ".join(
        f"SELECT '{one}' WHERE EXISTS (SELECT FROM {one})" for one in names
    )
    # TRUNCATE makes new files for every table and index, and takes several times as long.
    for (used,) in connection.execute(has_rows).fetchall():
        connection.execute(f"DELETE FROM {used}")
    for (sequence,) in connection.execute(_USED_SEQUENCES).fetchall():
        connection.execute(f"ALTER SEQUENCE {sequence} RESTART")
    connection.commit()


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[redis.Redis]:
    """A client as the programs use it, on an empty Valkey."""
    with connect(settings.redis.url.get_secret_value(), settings.redis) as client:
        client.flushdb()
        yield client


@pytest.fixture
def kafka(settings: Settings) -> KafkaSettings:
    """The broker's settings with topics of the test's own."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    return settings.kafka.model_copy(update={"topic_prefix": prefix})
