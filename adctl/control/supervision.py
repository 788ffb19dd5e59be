"""Running the whole product on this machine: stores, daemons, and bringing back what dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.daemon_process import (
    END_ORDER,
    START_ORDER,
    DaemonProcess,
    Health,
    Readiness,
)
from adctl.control.keeping import Kept
from adctl.errors import ConflictError, StoreUnavailableError, UnhealthyError
from adctl.folders import make_private
from adctl.stores.embedded.ports import claim, free_port, is_free, release
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.embedded.state import acquire, load_record
from adctl.stores.endpoints import resolve, stack_folder
from adctl.stores.migrations import migrate
from adctl.streams.admin import KafkaAdmin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from adctl.config import Settings
    from adctl.config_daemon import DaemonSettings
    from adctl.stores.embedded.server import Server

_READY_TIMEOUT_SEC = 45.0
_HEALTH_EVERY_SEC = 1.0
# Silence is normal for so long.
_STARTING_SEC = 10.0
# What a supervisor killed with -9 leaves behind is killed with it, but not in the same instant.
_LEFTOVERS_SEC = 10.0


class ProcessStatus(NamedTuple):
    """One store or daemon as it is now. ``state`` is for people, ``ok`` for programs."""

    name: str
    kind: str  # "store" or "daemon"
    state: str
    ok: bool
    pid: int
    port: int
    restarts: int
    uptime_sec: float
    missing: str = ""


class Supervisor:
    """Owns the embedded stores that the settings leave empty, and all daemons.

    For the main thread of a program alone: the kernel ends the processes with the thread that
    started them. While it runs it holds ``supervisor.lock`` of the state folder, and so does every
    daemon, so that a successor waits until the last of them has gone. ``notify`` is told in words
    what happens; it must not raise.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        notify: Callable[[str], None],
    ) -> None:
        self.settings = _with_ports(settings)
        self._environment = environment
        self._notify = notify
        self._lock: int | None = None
        self._stack: EmbeddedStack | None = None
        self._stores: dict[str, Kept] = {}
        self._daemons: dict[str, Kept] = {}
        self._health = HealthWatch()

    def start(self, stop: threading.Event) -> None:
        """Start everything: the stores, then the daemons all at once.

        Returns early, with what there is, when ``stop`` is set; call ``stop`` in any case. Raises
        ConflictError if another supervisor uses the state folder or a port is taken,
        StoreUnavailableError or UnhealthyError if something does not come up.
        """
        self._lock = _take_folder(self.settings.state_dir)
        self._notify(f"starting in {self.settings.state_dir}")
        _require_free_ports(self.settings)
        self._start_stores()
        endpoints = resolve(self.settings)
        for name in migrate(endpoints.postgres_url):
            self._notify(f"migrated the database: {name}")
        KafkaAdmin(endpoints.kafka_bootstrap, self.settings.kafka).ensure_topics()
        if not stop.is_set():
            self._start_daemons(stop)

    def _start_stores(self) -> None:
        postgres, redis = self.settings.postgres.url, self.settings.redis.url
        if (
            postgres.get_secret_value()
            and redis.get_secret_value()
            and self.settings.kafka.bootstrap
        ):
            return
        folder = stack_folder(self.settings)
        stack = EmbeddedStack(folder)
        try:
            stack.start(owned=True)
        except ConflictError:
            record = load_record(folder)
            if record is None or record.owner_pid:
                raise
            self._notify("using the stores that `adctl stack start` has left running")
            return
        self._stack = stack
        self._stores = {server.name: self._kept_store(server) for server in stack.servers}
        self._notify(f"stores are running, their data is in {folder}")

    def _kept_store(self, server: Server) -> Kept:
        def respawn() -> None:
            server.respawn()
            if server.name == "kafka":  # it forgets everything
                bootstrap = resolve(self.settings).kafka_bootstrap
                KafkaAdmin(bootstrap, self.settings.kafka).ensure_topics()

        return Kept(server, respawn)

    def _start_daemons(self, stop: threading.Event) -> None:
        # Most of what one does before it is ready is loading its program; each waits by itself for
        # what it needs of another.
        daemons = [self._start_daemon(name) for name in START_ORDER]
        for daemon in daemons:
            if not _await_ready(daemon, daemons, stop):
                return
            self._health.note(daemon.name, Readiness(Health.READY))
            self._notify(
                f"{daemon.name} is ready on {daemon.host}:{daemon.port} (pid {daemon.pid})"
            )
        self._health.start()

    def _start_daemon(self, name: str) -> DaemonProcess:
        where: DaemonSettings = getattr(self.settings, name)
        log = self.settings.state_dir / "logs" / f"{name}.log"
        address = (where.host, where.port)
        daemon = DaemonProcess(name, address, self.environment, log)

        def spawn() -> None:
            self._health.forget(name)
            daemon.start(self._held_lock())

        spawn()
        self._daemons[name] = Kept(daemon, spawn)
        self._health.watch(daemon)
        return daemon

    def _held_lock(self) -> int:
        if self._lock is None:
            raise RuntimeError("the supervisor has not been started")
        return self._lock

    @property
    def environment(self) -> dict[str, str]:
        """What a daemon must have in its environment to belong to this supervisor."""
        ports = {
            f"ADCTL_{name.upper()}_PORT": str(getattr(self.settings, name).port)
            for name in START_ORDER
        }
        state_dir = {"ADCTL_STATE_DIR": str(self.settings.state_dir)}
        return {**self._environment, **state_dir, **ports}

    def tend(self) -> None:
        """Look after everything once: start again what has ended. Call several times a second.

        Blocks while a store is being started. Never raises for a process that does not come up: it
        is tried again, with growing pauses.
        """
        for kept in (*self._stores.values(), *self._daemons.values()):
            happened = kept.look()
            if happened:
                self._notify(happened)

    def kill(self, name: str) -> None:
        """Kill a process with SIGKILL, as a crash would. Raises KeyError if it is not ours."""
        kept = {**self._stores, **self._daemons}[name]
        if kept.process.alive():
            os.kill(kept.process.pid, signal.SIGKILL)
            self._notify(f"{name} (pid {kept.process.pid}) was killed with SIGKILL")

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Return how everything is now: stores, then daemons in the order they were started."""
        # Copied, because a screen asks from a thread of its own while things are being started.
        stores, daemons = list(self._stores.values()), list(self._daemons.items())
        return (
            *(_store_status(kept) for kept in stores),
            *(_daemon_status(kept, self._health.of(name)) for name, kept in daemons),
        )

    def stop(self) -> None:
        """End everything that was started. Nothing happens if nothing was."""
        if self._lock is None:
            return
        self._notify("stopping")
        self._health.stop()
        for names in END_ORDER:
            kept = [self._daemons.pop(name) for name in names if name in self._daemons]
            ending = [one.process for one in kept if isinstance(one.process, DaemonProcess)]
            for daemon in ending:
                daemon.begin_to_stop()
            for daemon in ending:
                daemon.await_end()
        self._stores = {}
        if self._stack is not None:
            self._stack.stop()
            self._stack = None
        for name in START_ORDER:
            release(getattr(self.settings, name).port)
        os.close(self._lock)
        self._lock = None


class HealthWatch:
    """Asks daemons for their health, from a thread of its own: an answer may take seconds."""

    def __init__(self) -> None:
        self._daemons: list[DaemonProcess] = []
        self._found: dict[str, Readiness] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, daemon: DaemonProcess) -> None:
        """Begin to ask ``daemon``."""
        self._daemons.append(daemon)

    def note(self, name: str, readiness: Readiness) -> None:
        """Take over what somebody else has found out."""
        self._found[name] = readiness

    def forget(self, name: str) -> None:
        """Take what ``name`` last said as outdated: another process has its name now."""
        self._found.pop(name, None)

    def of(self, name: str) -> Readiness:
        """Return what a daemon said last."""
        return self._found.get(name, Readiness(Health.SILENT))

    def start(self) -> None:
        """Ask once, then go on asking until ``stop``."""
        self._ask()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_HEALTH_EVERY_SEC):
            self._ask()

    def _ask(self) -> None:
        for daemon in list(self._daemons):
            if self._stop.is_set():
                return
            self._found[daemon.name] = daemon.readiness()


def _take_folder(state_dir: Path) -> int:
    """Return a descriptor that holds the folder. Raises ConflictError if it is in use."""
    try:
        make_private(state_dir)
        file = state_dir / "supervisor.lock"
        owner = _owner(file)
        lock = acquire(file, 0.3 if _runs(owner) else _LEFTOVERS_SEC)
    except OSError as exc:
        raise StoreUnavailableError(f"cannot use {exc.filename}: {exc.strerror}") from exc
    if lock is None:
        whose = f"by another adctl (pid {owner})" if _runs(owner) else "by daemons left running"
        raise ConflictError(
            f"the state folder {state_dir} is in use {whose}: stop that one first, or choose "
            "another folder with state_dir (ADCTL_STATE_DIR)"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _owner(file: Path) -> int:
    text = file.read_text(errors="replace").strip() if file.exists() else ""
    return int(text) if text.isdecimal() else 0


def _runs(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _with_ports(settings: Settings) -> Settings:
    """Return the settings with a free port for every daemon that has port 0.

    Ports that are configured are claimed too where they can be, lest a store chooses one. Whether
    they are to be had is told when everything is started.
    """
    chosen = {}
    for name in START_ORDER:
        daemon: DaemonSettings = getattr(settings, name)
        if daemon.port:
            claim(daemon.host, daemon.port)
    for name in START_ORDER:
        daemon = getattr(settings, name)
        if daemon.port == 0:
            chosen[name] = daemon.model_copy(update={"port": free_port(daemon.host)})
    return settings.model_copy(update=chosen)


def _require_free_ports(settings: Settings) -> None:
    faults = []
    for name in START_ORDER:
        daemon: DaemonSettings = getattr(settings, name)
        if not is_free(daemon.host, daemon.port):
            faults.append(
                f"  {name}: {daemon.host}:{daemon.port} is taken by another program; stop it, or "
                f"set {name}.port (ADCTL_{name.upper()}_PORT), 0 for any free port"
            )
    if faults:
        raise ConflictError("\n".join(["daemons cannot listen:", *faults]))


def _await_ready(
    daemon: DaemonProcess, all_of_them: Sequence[DaemonProcess], stop: threading.Event
) -> bool:
    """Return True once ``daemon`` is ready, False if ``stop`` was set first.

    Raises UnhealthyError if it is not ready in time, or as soon as any has ended.
    """
    deadline = time.monotonic() + _READY_TIMEOUT_SEC
    while not stop.is_set():
        readiness = daemon.readiness()
        for one in all_of_them:
            if not one.alive():
                raise one.failure()
        if readiness.health is Health.READY:
            return True
        if time.monotonic() > deadline:
            raise UnhealthyError(
                f"the {daemon.name} is not ready after {_READY_TIMEOUT_SEC:.0f} s: "
                f"{readiness.missing or 'it does not answer'}; its log is {daemon.log}"
            )
        stop.wait(0.05)
    return False


def _store_status(kept: Kept) -> ProcessStatus:
    return _status(kept, "store", "restarting" if kept.down else "running", Readiness(Health.READY))


def _daemon_status(kept: Kept, readiness: Readiness) -> ProcessStatus:
    state = "restarting" if kept.down else readiness.health.value
    if readiness.health is Health.SILENT and not kept.down and kept.uptime_sec < _STARTING_SEC:
        state = "starting"
    return _status(kept, "daemon", state, readiness)


def _status(kept: Kept, kind: str, state: str, readiness: Readiness) -> ProcessStatus:
    process = kept.process
    return ProcessStatus(
        name=process.name,
        kind=kind,
        state=state,
        ok=not kept.down and readiness.health is Health.READY,
        pid=process.pid,
        port=process.port,
        restarts=kept.restarts,
        uptime_sec=kept.uptime_sec,
        missing=readiness.missing,
    )
