"""The product's supervisor, with what faults need of it, and two of a daemon if wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.daemon_process import DaemonProcess
from adctl.control.keeping import Kept
from adctl.control.supervision import Supervisor
from adctl.stores.embedded.ports import free_port, release
from adctl.stores.embedded.server import Server

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from adctl.config import Settings

_LOOPBACK = "127.0.0.1"


class ChaosSupervisor(Supervisor):
    """Runs one more of every daemon that is in ``twice``, as another machine would."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        notify: Callable[[str], None],
        twice: Collection[str] = (),
    ) -> None:
        super().__init__(settings, environment, notify)
        self._twice = twice
        self._seconds: dict[str, DaemonProcess] = {}

    def server(self, name: str) -> Server:
        """Return a store's server. Raises KeyError if it is not ours."""
        process = self._stores[name].process
        assert isinstance(process, Server)
        return process

    def pids(self, name: str) -> list[int]:
        """Return the processes that have that name: two, of what is there twice."""
        kept = {**self._stores, **self._daemons}
        seconds = [self._seconds[name].pid] if name in self._seconds else []
        return [kept[name].process.pid, *seconds]

    def _start_daemons(self, stop: threading.Event) -> None:
        super()._start_daemons(stop)
        for name in self._twice:
            self._start_second(name)

    def _start_second(self, name: str) -> None:
        port = free_port(_LOOPBACK)
        log = self.settings.state_dir / "logs" / f"second-{name}.log"
        environment = {**self.environment, f"ADCTL_{name.upper()}_PORT": str(port)}
        second = DaemonProcess(name, (_LOOPBACK, port), environment, log)
        second.start(self._held_lock())
        self._seconds[name] = second
        self._daemons[f"second {name}"] = Kept(second, lambda: second.start(self._held_lock()))

    def stop(self) -> None:
        """End everything, the second ones first."""
        for name, second in self._seconds.items():
            del self._daemons[f"second {name}"]
            second.stop()
            release(second.port)
        self._seconds = {}
        super().stop()
