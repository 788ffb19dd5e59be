"""A disk that hangs, for processes that load ``slow_fsync.c`` before the C library."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adctl.stores.embedded.ports import free_port
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import ServerRecord
from adctl.stores.embedded.valkey import Valkey

if TYPE_CHECKING:
    from adctl.stores.embedded.process import Command

_SOURCE = Path(__file__).with_name("slow_fsync.c")
HANGS_MS = 1500


class SlowDisk:
    """What a process is started with, so that its disk hangs while that is asked for.

    ``cc`` has to be there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._library, self._switch = folder / "slow_fsync.so", folder / "hangs"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What to put into the process' environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "SLOW_FSYNC": str(self._switch),
            "SLOW_FSYNC_MS": str(HANGS_MS),
        }

    def hang(self) -> None:
        """Let whoever waits for the disk wait a second and a half, from now on."""
        self._switch.touch()

    def heal(self) -> None:
        """Let nobody wait any more."""
        self._switch.unlink(missing_ok=True)


class ValkeyOnSlowDisk(Valkey):
    """A Valkey whose disk may hang; ``appendfsync`` as it is told."""

    def __init__(
        self, folder: Path, record: ServerRecord, disk: SlowDisk, appendfsync: str = "everysec"
    ) -> None:
        super().__init__(folder, "127.0.0.1", record)
        self._disk, self._appendfsync = disk, appendfsync

    def prepare(self) -> Command:
        """Return how to start it, on that disk."""
        command = super().prepare()
        return replace(command, env={**command.env, **self._disk.environment})

    def _configuration(self) -> dict[str, str]:
        return {**super()._configuration(), "appendfsync": self._appendfsync}


def valkey_on(disk: SlowDisk, folder: Path, appendfsync: str = "everysec") -> tuple[Server, str]:
    """Return a Valkey on a disk, not started yet, and its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    record = ServerRecord(port=free_port("127.0.0.1"), password="of-no-consequence")
    program = ValkeyOnSlowDisk(folder, record, disk, appendfsync)
    url = f"redis://:{record.password}@127.0.0.1:{record.port}/0"
    return Server(program, folder, record, lambda: None), url
