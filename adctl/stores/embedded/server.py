"""The life of one embedded server, whichever it is."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

import psutil

from adctl.errors import ConflictError, StoreUnavailableError
from adctl.stores.embedded import process
from adctl.stores.embedded.state import acquire, is_held, server_lock

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from adctl.stores.embedded.state import ServerRecord

START_TIMEOUT_SEC = 60.0
# After a kill -9 of its main process PostgreSQL's others take a moment to notice.
LOCK_WAIT_SEC = 10.0


class Program(Protocol):
    """What a Server has to know about the program it runs."""

    @property
    def name(self) -> str:
        """What the server is called in messages, file names and stack.json."""

    @property
    def stop_steps(self) -> Sequence[tuple[signal.Signals, float]]:
        """Signals that end it, gentlest first, and the seconds to wait after each."""

    def prepare(self) -> process.Command:
        """Make data folder and configuration if need be; return how to start."""

    def probe(self) -> str:
        """Return the running server's version. Raises StoreUnavailableError until it answers."""


class Server:
    """One server of a stack. For one thread of one process at a time.

    An owned server ends with the thread that started it; see ``process.spawn``.
    """

    def __init__(
        self, program: Program, folder: Path, record: ServerRecord, save: Callable[[], None]
    ) -> None:
        self.program = program
        self.name = program.name
        self.record = record
        self.log = folder / f"{program.name}.log"
        self._lock = server_lock(folder, program.name)
        self._save = save
        self._owned = False
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process, 0 if it was never started."""
        return self.record.pid

    @property
    def port(self) -> int:
        """Where it listens, also when it does not run."""
        return self.record.port

    def alive(self) -> bool:
        """Whether the server's process runs. Collects it when it has ended."""
        if self._child is not None:
            return self._child.poll() is None
        return self._find() is not None

    def _find(self) -> psutil.Process | None:
        if self._child is not None and self._child.poll() is None:
            return psutil.Process(self._child.pid)
        if not is_held(self._lock):
            return None
        found = process.find(self.pid, self.record.identity)
        # Who started it may have been killed before it could note the pid.
        return found or process.search(self.record.identity)

    def start(self, *, owned: bool) -> None:
        """Start the server and return once it answers.

        Raises ConflictError if it runs already, StoreUnavailableError (with the end of its log) if
        it does not come up; nothing is left running then.
        """
        self._owned = owned
        lock = acquire(self._lock, 0.3 if self.alive() else LOCK_WAIT_SEC)
        if lock is None:
            raise ConflictError(f"{self.name} is running already (pid {self.pid})")
        try:
            command = self.program.prepare()
            self._save()
            # Detached servers outlive this process; owned ones must not.
            death_signal = self.program.stop_steps[0][0] if owned else None
            self._child = process.spawn(command, self.log, lock, death_signal)
        except OSError as exc:
            raise StoreUnavailableError(f"{self.name} cannot be started: {exc}") from exc
        finally:
            os.close(lock)
        self.record.pid = self._child.pid
        self._save()
        try:
            self._await_answer(self._child)
        except BaseException:
            self.stop()
            raise
        self._save()

    def _await_answer(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SEC
        while True:
            if child.poll() is not None:
                raise StoreUnavailableError(
                    f"{self.name} ended at once (status {child.returncode}):\n{self._log_end()}"
                )
            try:
                self.record.version = self.program.probe()
            except StoreUnavailableError as exc:
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(
                        f"{self.name} does not answer on port {self.port}: {exc}"
                    ) from exc
                time.sleep(0.02)
            else:
                return

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return "\n".join(f"  {line}" for line in lines) or f"  (nothing in {self.log})"

    def respawn(self) -> None:
        """Start the server again on the same port, ending it first if it still runs."""
        self.stop()
        self.start(owned=self._owned)

    def stop(self) -> None:
        """End the server, gently at first. Nothing happens if it does not run."""
        if (found := self._find()) is not None:
            process.end(found, self.program.stop_steps)
        if self._child is not None:
            self._child.wait()
            self._child = None
        deadline = time.monotonic() + LOCK_WAIT_SEC
        while is_held(self._lock) and time.monotonic() < deadline:
            time.sleep(0.02)
