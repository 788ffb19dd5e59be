"""The three embedded servers together, with their state in one folder."""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adctl.errors import ConflictError, Fault, FaultyInputError, StoreUnavailableError
from adctl.folders import make_private
from adctl.stores.embedded.account import is_elsewhere
from adctl.stores.embedded.kafka import Kafka
from adctl.stores.embedded.ports import claim, free_port, release
from adctl.stores.embedded.postgres import Postgres
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import (
    ServerRecord,
    StackRecord,
    acquire,
    holding,
    is_held,
    load_record,
    save_record,
    server_lock,
)
from adctl.stores.embedded.valkey import Valkey
from adctl.stores.endpoints import Endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("postgres", "valkey", "kafka")


@dataclass(frozen=True)
class ServerStatus:
    """One server as it is now. ``port`` and ``version`` are 0 and empty before its first start."""

    name: str
    pid: int | None
    port: int
    running: bool
    version: str


class EmbeddedStack:
    """PostgreSQL, Valkey and a Kafka-protocol broker below one folder, on loopback.

    Started in that order, stopped in reverse. *Detached* servers go on without us and any process
    may stop them; *owned* ones belong to this process and, on Linux, end when the thread that
    called start or respawn does, even by kill -9. One thread at a time may use an object; any
    number of processes may each have one for the same folder.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        _require_loopback(host)
        self.folder = folder.absolute()
        self.host = host
        self.servers: tuple[Server, ...] = ()
        self._owner_lock: int | None = None

    def start(self, owned: bool = False) -> None:
        """Start what does not run yet; return when all three answer.

        Raises ConflictError if all run already, if a supervisor owns the folder, or (owned) if any
        runs; StoreUnavailableError if one does not come up. Those started here are stopped then.
        """
        with _explained(self.folder):
            _make_folder(self.folder)
            lock = acquire(self.folder / "stack.lock")
            if lock is None:
                raise ConflictError(self._in_use())
            try:
                self._start(owned=owned)
            except BaseException:
                os.close(lock)
                raise
            if owned:
                self._owner_lock = lock
            else:
                os.close(lock)

    def _start(self, *, owned: bool) -> None:
        record = load_record(self.folder)
        if record and record.owner_pid:
            self._end_orphans(record)
        running = self._running()
        if running and (owned or len(running) == len(NAMES)):
            raise ConflictError(self._in_use())
        record = _with_free_ports(record, self.host, running)
        record.owner_pid = os.getpid() if owned else 0
        self._build(record)
        save_record(self.folder, record)
        started: list[Server] = []
        try:
            for server in self.servers:
                if server.name not in running:
                    server.start(owned=owned)
                    started.append(server)
        except BaseException:
            for server in reversed(started):
                server.stop()
            _release_ports(record)
            raise

    def _end_orphans(self, record: StackRecord) -> None:
        # Their supervisor is gone (its lock was free), so they are ending or, where the kernel
        # does not tell them, have to be ended.
        self._build(record)
        for server in reversed(self.servers):
            server.stop()
        record.owner_pid = 0

    def _build(self, record: StackRecord) -> None:
        self.servers = self._servers_of(record)

    def _servers_of(self, record: StackRecord) -> tuple[Server, ...]:
        programs = (
            Postgres(self.folder, record.host, record.postgres),
            Valkey(self.folder, record.host, record.valkey),
            Kafka(self.folder, record.host, record.kafka),
        )
        return tuple(
            Server(
                program,
                self.folder,
                getattr(record, program.name),
                lambda: save_record(self.folder, record),
            )
            for program in programs
        )

    def stop(self) -> None:
        """Stop what runs, in reverse order. Nothing happens if nothing does.

        Raises ConflictError if another process owns the servers.
        """
        with _explained(self.folder):
            if self._owner_lock is not None:
                self._stop()
                os.close(self._owner_lock)
                self._owner_lock = None
            elif self.folder.exists():
                with holding(self.folder / "stack.lock") as free:
                    if not free:
                        raise ConflictError(self._in_use())
                    self._stop()

    def _stop(self) -> None:
        record = load_record(self.folder)
        if record is None:
            return
        if not self.servers:
            self._build(record)
        for server in reversed(self.servers):
            server.stop()
        _release_ports(record)

    def status(self) -> tuple[ServerStatus, ...]:
        """Return how each server is now, also before the first start."""
        with _explained(self.folder):
            record = load_record(self.folder)
            running = self._running()
        found = []
        for name in NAMES:
            server: ServerRecord = getattr(record, name) if record else ServerRecord(port=0)
            up = name in running
            found.append(
                ServerStatus(name, server.pid if up else None, server.port, up, server.version)
            )
        return tuple(found)

    def endpoints(self) -> Endpoints:
        """Return the running servers' addresses. Raises StoreUnavailableError if one is down."""
        record = load_record(self.folder)
        down = [name for name in NAMES if name not in self._running()]
        if record is None or down:
            raise StoreUnavailableError(
                f"the embedded {', '.join(down)} in {self.folder}: not running"
            )
        return Endpoints(record.postgres_url, record.redis_url, record.kafka_bootstrap)

    def paths(self) -> tuple[Path, ...]:
        """Return what reset deletes: data, logs, ports and passwords."""
        try:
            record = load_record(self.folder)
        except ConflictError:
            record = None
        # Lock files stay: one deleted and made again would be two locks.
        names = ["pgdata", "pgdata.new", "valkey", "kafka", "stack.json", ".stack.json"]
        names += [f"{name}.log" for name in NAMES]
        paths = [self.folder / name for name in names]
        paths += self.folder.glob("pginstall-*")
        if record and is_elsewhere(record.postgres.home):
            paths.append(Path(record.postgres.home))
        return tuple(path for path in paths if path.exists())

    def reset(self) -> None:
        """Delete all data of the stack; the next start makes everything anew.

        Raises ConflictError while any server runs.
        """
        with _explained(self.folder):
            if not self.folder.exists():
                return
            with holding(self.folder / "stack.lock") as free:
                # By the locks alone: a damaged stack.json is a reason to reset.
                locks = [server_lock(self.folder, name) for name in NAMES]
                if not free or any(is_held(lock) for lock in locks):
                    raise ConflictError(f"the stack in {self.folder} is in use: stop it first")
                for path in self.paths():
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink(missing_ok=True)
                self.servers = ()

    def _running(self) -> list[str]:
        record = load_record(self.folder)
        servers = self._servers_of(record) if record else ()
        return [server.name for server in servers if server.alive()]

    def _in_use(self) -> str:
        record = load_record(self.folder)
        if record and record.owner_pid and is_held(self.folder / "stack.lock"):
            return (
                f"the stack in {self.folder} belongs to a running program (pid {record.owner_pid})"
            )
        if self._running():
            return f"the stack in {self.folder} is running"
        return f"the stack in {self.folder} is being started or stopped by someone else"


def _require_loopback(host: str) -> None:
    try:
        loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        expected = "an IPv4 loopback address such as 127.0.0.1: the embedded servers have no TLS"
        raise FaultyInputError("the embedded stack", [Fault("host", host, expected)])


def _make_folder(folder: Path) -> None:
    make_private(folder)
    # PostgreSQL under another account must get through; what lies here is closed file by file.
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _with_free_ports(record: StackRecord | None, host: str, running: list[str]) -> StackRecord:
    """Return ``record``, or a new one, in which every server that is down has a port to bind."""
    record = record or StackRecord(
        host=host,
        postgres=ServerRecord(port=0, password=secrets.token_urlsafe(24)),
        valkey=ServerRecord(port=0, password=secrets.token_urlsafe(24)),
        kafka=ServerRecord(port=0),
    )
    if not running:
        record.host = host
    for name in NAMES:
        server: ServerRecord = getattr(record, name)
        if name not in running and not (server.port and claim(record.host, server.port)):
            server.port = free_port(record.host)
    return record


def _release_ports(record: StackRecord) -> None:
    for name in NAMES:
        release(getattr(record, name).port)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        where = exc.filename or folder
        raise StoreUnavailableError(
            f"the embedded stack cannot use {where}: {exc.strerror}"
        ) from exc
