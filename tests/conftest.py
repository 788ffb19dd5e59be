"""One embedded stack for the whole session, and clean stores for each test that asks for them.

A test that starts daemons takes ``settings`` together with ``postgres`` and ``redis_client``, which
empty those stores before it begins.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from adctl.config import KafkaSettings, Settings, load_settings
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.migrations import migrate
from adctl.stores.redis import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from adctl.stores.endpoints import Endpoints

DAEMONS = ("bidder", "tracker", "api", "flusher", "consumer", "pacer")


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
def endpoints(stack: EmbeddedStack) -> Endpoints:
    """Where the session's stores are."""
    return stack.endpoints()


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
        _empty_tables(connection)
        yield connection


def _empty_tables(connection: psycopg.Connection) -> None:
    # As a replica, the trigger that keeps the ledger append-only does not fire.
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute("SET LOCAL lock_timeout = '10s'")
    tables = connection.execute(
        "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables "
        "WHERE schemaname = 'public' AND tablename !~ '^_?yoyo'"
    ).fetchone()
    connection.execute(f"TRUNCATE {tables[0]} RESTART IDENTITY CASCADE")
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
