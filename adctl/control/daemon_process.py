"""One daemon as a process of ours: its command, its log, its health."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.errors import UnhealthyError
from adctl.folders import make_private
from adctl.stores.embedded.process import Command, spawn
from adctl.stores.log_file import LOG_VARIABLE, MAX_LOG_BYTES, put_aside

if TYPE_CHECKING:
    from collections.abc import Mapping

# What comes later needs what comes first.
START_ORDER = ("consumer", "flusher", "pacer", "api", "tracker", "bidder")
# Who reads events goes when nobody writes any more.
END_ORDER = (("bidder", "tracker", "api", "pacer"), ("flusher", "consumer"))

_PROBE_TIMEOUT_SEC = 2.0
# A daemon answers what it has accepted within 10 s, its parent process allows it 12.
_DRAIN_SEC = 15.0


class Health(StrEnum):
    """What a daemon says of itself."""

    READY = "ready"
    NOT_READY = "not ready"  # it answers, but a store it needs does not
    SILENT = "no answer"


class Readiness(NamedTuple):
    """A daemon's health, and in words what is missing."""

    health: Health
    missing: str = ""


class _ReadyAnswer(msgspec.Struct):
    checks: dict[str, str] = {}


def daemon_environment(config_path: Path | None) -> dict[str, str]:
    """Return our environment with ``config_path`` in it, for a daemon in whatever folder."""
    config = {"ADCTL_CONFIG": str(config_path.absolute())} if config_path else {}
    return {**os.environ, **config}


def daemon_argv(name: str) -> list[str]:
    """Return the command line of a daemon: this Python, whatever lies in the current folder."""
    return [sys.executable, "-P", "-m", f"daemons.{name}"]


class DaemonProcess:
    """A daemon started by us. For one thread at a time, but ``readiness``, which is for any.

    On Linux the daemon ends, by SIGKILL, when the thread that started it does.
    """

    def __init__(
        self, name: str, address: tuple[str, int], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.host, self.port = address
        self.log = log
        self._environment = environment
        self._log_start = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process, 0 if there never was one."""
        return self._child.pid if self._child else 0

    def alive(self) -> bool:
        """Whether the process runs. Collects it when it has ended."""
        return self._child is not None and self._child.poll() is None

    def start(self, lock: int) -> None:
        """Start the process, which inherits the descriptor ``lock``. It may not be ready yet."""
        self._rotate_log()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        environment = {**self._environment, LOG_VARIABLE: str(self.log.absolute())}
        command = Command(tuple(daemon_argv(self.name)), Path("/"), environment)
        self._child = spawn(command, self.log, lock, signal.SIGKILL)

    def _rotate_log(self) -> None:
        make_private(self.log.parent)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(put_aside(self.log))

    def readiness(self) -> Readiness:
        """Ask the daemon whether it can do its work."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0") else self.host  # noqa: S104 - compared
        connection = http.client.HTTPConnection(host, self.port, timeout=_PROBE_TIMEOUT_SEC)
        try:
            connection.request("GET", "/health/ready")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return Readiness(Health.SILENT)
        finally:
            connection.close()
        if answer.status == http.client.OK:
            return Readiness(Health.READY)
        return Readiness(Health.NOT_READY, _failing_checks(body) or f"HTTP {answer.status}")

    def stop(self) -> None:
        """Let the daemon drain and end, and return when it is gone."""
        self.begin_to_stop()
        self.await_end()

    def begin_to_stop(self) -> None:
        """Ask the daemon to drain and end. Nothing happens if it does not run."""
        if self._child is not None and self.alive():
            self._child.terminate()

    def await_end(self) -> None:
        """Return when the daemon is gone; kill it if that takes too long."""
        if self._child is None:
            return
        try:
            self._child.wait(_DRAIN_SEC)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def how_it_ended(self) -> str:
        """Return in words how the last process ended."""
        status = self._child.returncode if self._child else None
        if status is None:
            return "runs"
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def failure(self) -> UnhealthyError:
        """Return an error that shows how the process ended, and the end of what it said."""
        with self.log.open("rb") as log:
            # One that is shorter than at the start is another: the first was full, and put aside.
            log.seek(self._log_start if self._log_start <= self.log.stat().st_size else 0)
            lines = log.read()[-4000:].decode(errors="replace").splitlines()[-8:]
        said = "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"
        return UnhealthyError(f"the {self.name} {self.how_it_ended()}:\n{said}\n  log: {self.log}")


def _failing_checks(body: bytes) -> str:
    try:
        checks = msgspec.json.decode(body, type=_ReadyAnswer).checks
    except msgspec.MsgspecError:
        return ""
    return "; ".join(f"{name}: {outcome}" for name, outcome in checks.items() if outcome != "ok")
