"""A Valkey from the past: set back, emptied, or replaced by a replica that lagged."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import redis

from adctl.errors import StoreUnavailableError
from adctl.stores.budgets import Budgets
from adctl.stores.embedded.ports import free_port, release
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import ServerRecord
from adctl.stores.embedded.valkey import Valkey
from tests.chaos.proxy import FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

_LOOPBACK = "127.0.0.1"
_FILES = "appendonlydir"
_KEPT_SEC = 25.0
_SYNCED_WITHIN_SEC = 5.0


class _Lengths(NamedTuple):
    """How long the append-only files were at a moment: all it takes to go back to it."""

    at: float
    of: dict[str, int]


class Past:
    """What befalls the data of a Valkey. For the thread that owns the server.

    An append-only file is only ever appended to: cut to the length it had, it is what it was.
    """

    def __init__(self, server: Callable[[], Server], folder: Path) -> None:
        self._find = server
        self._files = folder / "valkey" / _FILES
        self._replicas = folder / "replicas"
        self._lengths: deque[_Lengths] = deque()
        self._replica: _Replica | None = None

    def note(self) -> None:
        """Note how long the files are now. Call several times a second."""
        now = time.monotonic()
        self._lengths.append(_Lengths(now, _lengths(self._files)))
        while self._lengths[0].at < now - _KEPT_SEC:
            self._lengths.popleft()

    def set_back(self, sec: float) -> float:
        """Kill it, and have it come back as it was so long ago; how many seconds it were.

        It is as long ago as can be, if that is less.
        """
        self._kill()
        now, known = time.monotonic(), set(_lengths(self._files))
        while len(self._lengths) > 1 and self._lengths[-1].at > now - sec:
            if set(self._lengths[-2].of) != known:
                break
            self._lengths.pop()
        then = self._lengths[-1] if self._lengths else _Lengths(now, {})
        for name, length in then.of.items():
            if length < (self._files / name).stat().st_size:
                os.truncate(self._files / name, length)
        self._server.respawn()
        return now - then.at

    def flush(self) -> None:
        """Empty it."""
        with self._client(self._server) as client:
            client.flushall()

    def has_money_of(self, campaign_ids: Collection[int]) -> bool:
        """Return whether it has money of all these campaigns that was made in it."""
        with suppress(StoreUnavailableError), self._client(self._server) as client:
            return Budgets(client).have_all(campaign_ids)
        return False

    @property
    def _server(self) -> Server:
        return self._find()

    @property
    def is_followed(self) -> bool:
        """Whether a replica waits to be promoted."""
        return self._replica is not None

    def follow(self) -> bool:
        """Have a replica copy it, which hears nothing any more from now on; whether it could."""
        if not self._server.alive():
            self._server.respawn()
        self._replica = _Replica(self._server.record, self._replicas)
        with self._client(self._server) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        if not self._replica.copies():
            self.forget_replica()
        return self.is_followed

    def promote(self) -> None:
        """Kill it, and put what its replica has in its place."""
        if self._replica is None:
            return
        self._kill()
        self._replica.end()
        shutil.rmtree(self._files)
        shutil.copytree(self._replica.files, self._files)
        self._lengths.clear()
        self.forget_replica()
        self._server.respawn()

    def forget_replica(self) -> None:
        """End the replica, if there is one."""
        if self._replica is not None:
            self._replica.stop()
            self._replica = None
            shutil.rmtree(self._replicas)

    def _kill(self) -> None:
        if self._server.alive():
            os.kill(self._server.pid, signal.SIGKILL)
            while self._server.alive():
                time.sleep(0.005)

    def _client(self, server: Server) -> redis.Redis:
        return redis.Redis(
            host=_LOOPBACK, port=server.port, password=server.record.password, socket_timeout=2
        )


class _Replica:
    """A Valkey that copies another, through a network of its own that can be cut."""

    def __init__(self, primary: ServerRecord, folder: Path) -> None:
        folder.mkdir()
        self.files = folder / "valkey" / _FILES
        self._primary = primary
        self._record = ServerRecord(free_port(_LOOPBACK), primary.password)
        self._link = FaultyProxy(free_port(_LOOPBACK), primary.port)
        program = Valkey(folder, _LOOPBACK, self._record)
        self._server = Server(program, folder, self._record, lambda: None)
        self._link.start()
        self._server.start(owned=True)

    def copies(self) -> bool:
        """Copy everything, then hear nothing any more; False if it cannot be had."""
        deadline = time.monotonic() + _SYNCED_WITHIN_SEC
        with self._client() as client:
            client.config_set("masterauth", self._primary.password)
            client.replicaof(_LOOPBACK, str(self._link.port))
            while time.monotonic() < deadline:
                # Until its own file has been written anew, that says what was before.
                if _is_whole(client.info()):
                    self._link.partition(_KEPT_SEC)
                    return True
                time.sleep(0.02)
        return False

    def end(self) -> None:
        """Let it be a primary, and end with everything written."""
        with self._client() as client:
            client.replicaof("NO", "ONE")
        self._server.stop()

    def stop(self) -> None:
        """End whatever runs."""
        self._server.stop()
        self._link.stop()
        release(self._record.port)
        release(self._link.port)

    def _client(self) -> redis.Redis:
        return redis.Redis(
            host=_LOOPBACK, port=self._record.port, password=self._record.password, socket_timeout=2
        )


def _is_whole(info: dict[str, object]) -> bool:
    writing = (info["aof_rewrite_in_progress"], info["aof_rewrite_scheduled"], info["loading"])
    return info.get("master_link_status") == "up" and not any(writing)


def _lengths(files: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in files.glob("*.aof")}
