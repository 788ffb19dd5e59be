"""Apache Kafka as the tests start it: one node, both broker and controller, on loopback."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import uuid
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from adctl.errors import StoreUnavailableError
from adctl.stores.embedded.ports import free_port
from adctl.stores.embedded.process import Command
from adctl.stores.embedded.server import Server
from adctl.stores.embedded.state import ServerRecord
from tests.apache_kafka.artifacts import fetch_jars, kafka_version
from tests.apache_kafka.java import find_java

if TYPE_CHECKING:
    from pathlib import Path

_LOOPBACK = "127.0.0.1"
# It lives for seconds: a start without the best compiler is worth more than what that gains.
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_LOG = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


@cache
def find_program() -> tuple[str, ...]:
    """Return the command of a Java with Kafka's classes. Raises OSError, saying what is missing."""
    java = find_java()
    classes = os.pathsep.join(map(str, fetch_jars()))
    return (str(java), *_JVM, _LOG, "-cp", classes)


class ApacheKafka:
    """A broker that, started again, has kept everything; or, if it ``forgets``, a new cluster."""

    name = "kafka"
    # Nobody needs a tidy end of it, and what it keeps has to survive the other kind.
    stop_steps: ClassVar = ((signal.SIGKILL, 10.0),)

    def __init__(self, folder: Path, record: ServerRecord, *, forgets: bool) -> None:
        self._folder = folder / "apache-kafka"
        self._record = record
        self._controller_port = free_port(_LOOPBACK)
        self._forgets = forgets
        self._cluster_id = ""

    def prepare(self) -> Command:
        """Format the storage of a new cluster if need be; return how to start the broker."""
        configuration = self._folder / "server.properties"
        if self._forgets:
            shutil.rmtree(self._folder, ignore_errors=True)
        if not self._folder.exists():
            self._folder.mkdir(mode=0o700)
            lines = [f"{key}={value}\n" for key, value in self._configuration().items()]
            configuration.write_text("".join(lines))
            self._format(configuration)
        self._record.identity = str(configuration)
        return Command((*find_program(), "kafka.Kafka", str(configuration)), self._folder)

    def probe(self) -> str:
        """Return the version once this very broker answers."""
        try:
            # The client would try again by itself, but only after a second or so.
            socket.create_connection((_LOOPBACK, self._record.port), timeout=1).close()
            admin = AdminClient({"bootstrap.servers": f"{_LOOPBACK}:{self._record.port}"})
            cluster_id = str(admin.list_topics(timeout=5).cluster_id)
        except (OSError, KafkaException) as exc:
            raise StoreUnavailableError(f"Apache Kafka: {exc}") from exc
        if cluster_id != self._cluster_id:
            raise StoreUnavailableError(f"Apache Kafka: another broker ({cluster_id}) has the port")
        return kafka_version()

    def _format(self, configuration: Path) -> None:
        self._cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Joined by "=": an id may begin with a dash.
        done = subprocess.run(
            [
                *(*find_program(), "kafka.tools.StorageTool", "format"),
                *(f"--cluster-id={self._cluster_id}", f"--config={configuration}"),
            ],
            env={},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise StoreUnavailableError(f"Apache Kafka's storage was not formatted:\n{done.stderr}")

    def _configuration(self) -> dict[str, object]:
        broker = f"{_LOOPBACK}:{self._record.port}"
        controller = f"{_LOOPBACK}:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "log.dirs": self._folder / "log",
            # Its own topics would wait for two more brokers.
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            # They need no fifty partitions here, nor does a group have to wait for company.
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            # Killed, it may not come back before the controller holds it for dead.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
        }


def apache_kafka(folder: Path, *, forgets: bool = False) -> Server:
    """Return a broker that is yet to be started, with its data and log in ``folder``."""
    record = ServerRecord(port=free_port(_LOOPBACK))
    return Server(ApacheKafka(folder, record, forgets=forgets), folder, record, lambda: None)
