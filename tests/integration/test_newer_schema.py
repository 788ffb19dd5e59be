"""Programs on a database that a newer adctl has migrated: they say so, and touch nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config import PostgresSettings
from adctl.control.daemon_process import Health
from adctl.control.health import check_postgres
from adctl.errors import NewerSchemaError
from adctl.stores import schema_version
from adctl.stores.migrations import migrate, pending
from adctl.stores.postgres import open_pool
from adctl.stores.schema_version import SchemaGuard, known_migrations
from adctl.stores.tables import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.endpoints import Endpoints

NEWER = "9999_of_the_future"
HAS, NEEDS = NEWER, known_migrations()[-1]
DAEMONS = ("api", "flusher", "consumer", "pacer")
COMMANDS = (
    "db migrate",
    "db migrate --dry-run",
    "db partitions",
    "db size",
    "advertiser list",
    "campaign list",
    "report performance",
    "budget prove",
    "consumer status",
    "rejected list",
    "webhook list",
    "advertiser create --name Acme",
)


@pytest.fixture
def url(endpoints: Endpoints, postgres: psycopg.Connection) -> Iterator[str]:
    """A migrated database of the test's own."""
    postgres.autocommit = True
    name = f"newer_{uuid.uuid4().hex}"
    postgres.execute(f"CREATE DATABASE {name}")
    own = f"{endpoints.postgres_url.removesuffix('/adctl')}/{name}"
    migrate(own)
    yield own
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def make_newer(url: str, migration: str = NEWER) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) "
            "VALUES (%s, %s, now())",
            [migration, migration],
        )


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM audit, advertiser").fetchone()
        return int(found[0]) if found else 0


@pytest.fixture
def adctl(url: str, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", url)
    monkeypatch.setenv("ADCTL_REDIS_URL", endpoints.redis_url)
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", endpoints.kafka_bootstrap)
    return CliRunner()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_so_in_one_line_and_changes_nothing(
    command: str, url: str, adctl: CliRunner, redis_client: redis.Redis
) -> None:
    make_newer(url)
    ended = adctl.invoke(app, command.split())
    assert ended.exit_code == 9, ended.output
    [line] = ended.stderr.strip().splitlines()
    assert HAS in line
    assert NEEDS in line
    assert ended.stdout == ""
    assert rows(url) == 0


def test_db_status_names_what_only_a_newer_program_knows(url: str, adctl: CliRunner) -> None:
    make_newer(url)
    shown = adctl.invoke(app, ["db", "status", "--output", "csv"])
    assert f"{NEWER},newer than this adctl" in shown.output
    assert f"{NEEDS},applied" in shown.output


def test_doctor_says_so(url: str, adctl: CliRunner) -> None:
    make_newer(url)
    found = adctl.invoke(app, ["doctor", "--output", "csv"])
    assert found.exit_code == 8
    [line] = [line for line in found.output.splitlines() if line.startswith("schema,")]
    assert HAS in line
    assert NEEDS in line


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_refuses_to_start(daemon: str, url: str, endpoints: Endpoints) -> None:
    make_newer(url)
    env = {
        **os.environ,
        "ADCTL_POSTGRES_URL": url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    argv = [sys.executable, "-m", f"daemons.{daemon}"]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 9
    assert HAS in ended.stderr
    assert NEEDS in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_that_runs_stops_working_and_says_why(
    daemon: str, url: str, start_daemon: Callable[..., DaemonProcess], redis_client: redis.Redis
) -> None:
    process = start_daemon(daemon, ADCTL_POSTGRES_URL=url)
    make_newer(url)
    deadline = time.monotonic() + 20
    while (told := process.readiness()).health is Health.READY:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert HAS in told.missing
    assert process.alive()
    process.stop()


def test_an_additive_migration_of_a_newer_program_is_worked_beside(url: str) -> None:
    make_newer(url, "9998_an_index_additive")
    assert pending(url) == []
    assert migrate(url) == []
    with open_pool(url, PostgresSettings()) as pool:
        check_postgres(pool)


def test_a_pool_gives_out_no_connection_once_the_database_is_newer(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_version, "_LOOK_EVERY_SEC", 0)
    with open_pool(url, PostgresSettings()) as pool:
        check_postgres(pool)
        make_newer(url)
        for _ in range(30):  # more than it has connections: none is lost
            with pytest.raises(NewerSchemaError):
                check_postgres(pool)


def test_an_engine_gives_out_no_connection_once_the_database_is_newer(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_version, "_LOOK_EVERY_SEC", 0)
    engine = open_engine(url, PostgresSettings(pool_size=2))
    with engine.connect():
        pass
    make_newer(url)
    for _ in range(5):
        with pytest.raises(NewerSchemaError), engine.connect():
            pass
    engine.dispose()


def test_a_database_is_looked_at_again_after_seconds_and_not_each_time(url: str) -> None:
    now = 0.0
    guard = SchemaGuard(lambda: now)
    with psycopg.connect(url) as connection:
        guard.look(connection)
        make_newer(url)
        guard.look(connection)
        now = 10.0
        for _ in range(2):
            with pytest.raises(NewerSchemaError):
                guard.look(connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
