"""What a stack remembers between runs, and who is using its folder now.

``stack.json`` holds ports, passwords and pids. Whether a server lives is told by its lock file: the
server inherits the open lock, so the lock is held exactly as long as a process of that server is.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from adctl.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ServerRecord(msgspec.Struct):
    """One server: where it listens, how to get in, which process it was last."""

    port: int
    password: str = ""
    pid: int = 0
    version: str = ""
    home: str = ""
    """Where its data and binaries are, if not in the stack's folder."""
    identity: str = ""
    """What its command line contains and no other process's does."""


class StackRecord(msgspec.Struct):
    """The content of stack.json."""

    host: str
    postgres: ServerRecord
    valkey: ServerRecord
    kafka: ServerRecord
    owner_pid: int = 0
    """The supervisor that owns the servers, 0 when they were left running by themselves."""

    @property
    def postgres_url(self) -> str:
        """Where PostgreSQL listens, with the password."""
        server = self.postgres
        return f"postgresql://adctl:{server.password}@{self.host}:{server.port}/adctl"

    @property
    def redis_url(self) -> str:
        """Where Valkey listens, with the password."""
        return f"redis://:{self.valkey.password}@{self.host}:{self.valkey.port}/0"

    @property
    def kafka_bootstrap(self) -> str:
        """Where the broker listens."""
        return f"{self.host}:{self.kafka.port}"


def load_record(folder: Path) -> StackRecord | None:
    """Return what ``folder`` remembers, None if no stack was ever started there.

    Raises ConflictError if the file is not one of ours.
    """
    file = folder / "stack.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=StackRecord)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        raise ConflictError(f"{file} is damaged ({exc}); `adctl stack reset` starts anew") from exc


def save_record(folder: Path, record: StackRecord) -> None:
    """Replace stack.json at once and for good; only its owner may read it."""
    temporary = folder / ".stack.json"
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record)))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "stack.json")


def acquire(lock: Path, wait_sec: float = 0.3) -> int | None:
    """Return an open descriptor that holds ``lock``, or None if someone else keeps it.

    Waits a little, because is_held takes the lock for a moment. Close the descriptor to let go; a
    child that inherits it keeps the lock until it is gone too.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_sec
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)
        else:
            return descriptor


@contextmanager
def holding(lock: Path) -> Iterator[bool]:
    """Hold ``lock`` for the block; yields False at once, without it, if it is taken."""
    descriptor = acquire(lock)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_held(lock: Path) -> bool:
    """Whether any process holds ``lock``."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def server_lock(folder: Path, name: str) -> Path:
    """Return the lock that server ``name`` of the stack in ``folder`` holds while it lives."""
    return folder / f"{name}.lock"
