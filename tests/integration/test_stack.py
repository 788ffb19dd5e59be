"""The embedded stack as its supervisor, its users and its crashes see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from adctl.errors import ConflictError, FaultyInputError, StoreUnavailableError
from adctl.stores.embedded.ports import claim, release
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.embedded.state import acquire, load_record, server_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adctl.stores.endpoints import Endpoints

SUPERVISOR = """
import sys, time
from pathlib import Path
from adctl.stores.embedded.stack import EmbeddedStack
stack = EmbeddedStack(Path(sys.argv[1]))
stack.start(owned=True)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, state_dir: Path) -> Path:
    return state_dir / "other" / "stack"


@pytest.fixture
def own_stack(folder: Path) -> Iterator[EmbeddedStack]:
    """A running stack of the test's own; its data stays from test to test."""
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    yield stack
    stack.stop()


def within(seconds: float, happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.02)
    return False


def cluster_id(endpoints: Endpoints) -> str:
    admin = AdminClient({"bootstrap.servers": endpoints.kafka_bootstrap, "log_level": 0})
    return admin.list_topics(timeout=5).cluster_id


def valkey(endpoints: Endpoints) -> redis.Redis:
    return redis.Redis.from_url(endpoints.redis_url, decode_responses=True)


def test_the_servers_listen_on_loopback_alone(own_stack: EmbeddedStack) -> None:
    for server in own_stack.servers:
        sockets = psutil.Process(server.pid).net_connections("inet")
        listening = [s.laddr for s in sockets if s.status == psutil.CONN_LISTEN]
        assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", server.port)]


def test_a_port_that_something_else_was_given_meanwhile_is_exchanged(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    stack.stop()
    before = load_record(folder).valkey.port
    assert claim("127.0.0.1", before)
    try:
        stack.start(owned=True)
        assert valkey(stack.endpoints()).ping()
        assert load_record(folder).valkey.port != before
    finally:
        stack.stop()
        release(before)


def test_a_stack_that_was_stopped_has_its_ports_again(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    before = load_record(folder).valkey.port
    stack.stop()
    stack.start(owned=True)
    after = load_record(folder).valkey.port
    stack.stop()
    assert after == before


def test_postgres_has_no_unix_socket(own_stack: EmbeddedStack) -> None:
    with psycopg.connect(own_stack.endpoints().postgres_url) as connection:
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "localhost", ""])
def test_anything_but_loopback_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(FaultyInputError, match="loopback"):
        EmbeddedStack(tmp_path / "stack", host=host)


def test_nobody_gets_in_without_the_password(own_stack: EmbeddedStack) -> None:
    endpoints = own_stack.endpoints()
    port = load_record(own_stack.folder).valkey.port
    stranger = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
    with stranger as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    wrong = endpoints.postgres_url.replace("adctl:", "adctl:wrong", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_no_command_line_shows_a_password(own_stack: EmbeddedStack) -> None:
    record = load_record(own_stack.folder)
    lines = [" ".join(psutil.Process(server.pid).cmdline()) for server in own_stack.servers]
    for password in (record.postgres.password, record.valkey.password):
        assert len(password) >= 32
        assert not [line for line in lines if password in line]


def test_postgres_keeps_checksums_and_hashes_passwords(own_stack: EmbeddedStack) -> None:
    with psycopg.connect(own_stack.endpoints().postgres_url) as connection:
        assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
        query = "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'adctl'"
        assert connection.execute(query).fetchone() == (True,)


def test_valkey_persists_and_never_evicts(own_stack: EmbeddedStack) -> None:
    with valkey(own_stack.endpoints()) as client:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        assert client.config_get(*wanted) == wanted


def test_data_and_ports_survive_kill_9_of_each_server(own_stack: EmbeddedStack) -> None:
    before = own_stack.endpoints()
    with psycopg.connect(before.postgres_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (id integer)")
        connection.execute("INSERT INTO kept VALUES (1)")
    with valkey(before) as client:
        client.set("kept", "1")
    first_cluster = cluster_id(before)

    for server in own_stack.servers:
        os.kill(server.pid, signal.SIGKILL)
        assert within(5, lambda server=server: not server.alive())
        server.respawn()
        assert server.alive()

    assert own_stack.endpoints() == before
    with psycopg.connect(before.postgres_url) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM kept").fetchone() == (True,)
    with valkey(before) as client:
        assert client.get("kept") == "1"
    assert cluster_id(before) != first_cluster


def test_a_second_start_says_who_has_the_folder(own_stack: EmbeddedStack) -> None:
    for owned in (True, False):
        with pytest.raises(ConflictError, match=f"pid {os.getpid()}"):
            EmbeddedStack(own_stack.folder).start(owned=owned)
    assert all(server.alive() for server in own_stack.servers)


def test_nobody_else_stops_or_resets_an_owned_stack(own_stack: EmbeddedStack) -> None:
    stranger = EmbeddedStack(own_stack.folder)
    with pytest.raises(ConflictError, match="belongs to"):
        stranger.stop()
    with pytest.raises(ConflictError, match="stop it first"):
        stranger.reset()
    assert [server.running for server in stranger.status()] == [True] * 3


def test_a_killed_supervisor_leaves_no_orphan_and_no_lock(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout.readline() == "up\n"
        stack = EmbeddedStack(folder)
        pids = [server.pid for server in stack.status()]
        supervisor.kill()
    assert within(10, lambda: not any(server.running for server in stack.status()))
    assert [pid for pid in pids if is_running(pid)] == []


def test_a_start_right_after_the_supervisors_death_waits_for_its_servers(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout.readline() == "up\n"
        supervisor.kill()
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    assert all(server.alive() for server in stack.servers)
    stack.stop()


def test_a_start_waits_for_what_is_left_of_a_crashed_server(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    stack.stop()
    # As PostgreSQL's other processes do for a moment after their main one is killed.
    lock = acquire(server_lock(folder, "postgres"))
    threading.Timer(0.6, os.close, [lock]).start()
    stack.start(owned=True)
    assert stack.servers[0].alive()
    stack.stop()


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_stale_pid_file_that_names_a_living_process_does_not_block_the_start(
    folder: Path,
) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    data = Path(stack.servers[0].record.home or folder) / "pgdata"
    owner = data.stat()
    pid_file = (data / "postmaster.pid").read_text().splitlines()
    stack.stop()
    # What a power cut leaves behind: the file, and its pid given to someone else since.
    stranger_account = {"user": owner.st_uid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "60"], **stranger_account) as stranger:
        (data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *pid_file[1:]]) + "\n")
        os.chown(data / "postmaster.pid", owner.st_uid, owner.st_gid)
        stack.start(owned=True)
        stack.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_wrong_pid_in_the_record_stops_the_server_and_not_the_pids_process(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        for server in stack.servers:
            server.record.pid = stranger.pid
        stack.stop()
        assert stranger.poll() is None
        stranger.kill()
    assert [server.running for server in stack.status()] == [False] * 3


def test_a_server_that_cannot_start_is_explained_and_nothing_is_left_running(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    stack.stop()
    broken = next((folder / "valkey").glob("appendonlydir/*.manifest"))
    content = broken.read_text()
    broken.write_text("garbage\n")
    try:
        with pytest.raises(StoreUnavailableError, match=r"valkey ended at once(?s:.*)manifest"):
            stack.start(owned=True)
    finally:
        broken.write_text(content)
    assert [server.running for server in stack.status()] == [False] * 3


def test_another_major_version_of_the_data_is_refused(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    stack.stop()
    version = Path(stack.servers[0].record.home or folder) / "pgdata" / "PG_VERSION"
    content = version.read_text()
    version.write_text("11\n")
    try:
        with pytest.raises(ConflictError, match="made by PostgreSQL 11"):
            stack.start(owned=True)
    finally:
        version.write_text(content)


def test_the_environment_and_env_files_do_not_reach_the_broker(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA_REGISTRY", "bogus://x")
    folder.parent.mkdir(exist_ok=True)
    (folder.parent / ".env").write_text("SCHEMA_REGISTRY=bogus://x\n")
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    stack.stop()


def test_a_damaged_record_can_be_reset(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    stack.stop()
    (folder / "stack.json").write_text("{")
    with pytest.raises(ConflictError, match="adctl stack reset"):
        stack.start(owned=True)
    EmbeddedStack(folder).reset()
    stack.start(owned=True)
    stack.stop()


def test_reset_deletes_data_and_passwords_and_nothing_else(folder: Path) -> None:
    stack = EmbeddedStack(folder)
    stack.start(owned=True)
    before = stack.endpoints()
    stack.stop()
    (folder / "notes.txt").write_text("mine")
    stack.reset()
    left = {path.name for path in folder.iterdir() if path.suffix != ".lock"}
    assert left == {"notes.txt"}
    assert [server.port for server in stack.status()] == [0, 0, 0]
    stack.start(owned=True)
    assert stack.endpoints().postgres_url != before.postgres_url
    stack.stop()
