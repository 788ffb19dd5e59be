"""The loop that reads a group's topics, through outages and replaced clusters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from adctl.errors import AdctlError, StoreUnavailableError
from adctl.streams.consumer import GroupConsumer

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from adctl.config import KafkaSettings
    from adctl.control.counted import Counted
    from adctl.control.group_reading import AppliedBatch, GroupReading
    from adctl.control.rebuilding import GroupRebuilder, Step
    from adctl.streams.admin import KafkaAdmin
    from adctl.streams.consumer import IncomingMessage
    from daemons.consumer.metrics import ConsumerMetrics

log = structlog.get_logger()

_POLL_SEC = 0.25
_CHECK_CLUSTER_SEC = 2.0
_LOOK_SEC = 2.0
_PAUSE_SEC = 1.0


class GroupReader:
    """Keeps what a group builds up to date for as long as it runs. One thread runs it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        admin: KafkaAdmin,
        reading: GroupReading,
        rebuilder: GroupRebuilder,
        batch_size: int,
        metrics: ConsumerMetrics,
    ) -> None:
        self._bootstrap = kafka.bootstrap
        self._prefix = kafka.topic_prefix
        self._admin = admin
        self._group = reading.group
        self._reading = reading
        self._rebuilder = rebuilder
        self._batch_size = batch_size
        self.name = name = reading.group.name
        self._messages = metrics.messages
        self._batch_seconds = metrics.batch_seconds.labels(name)
        self._failures = metrics.failures.labels(name)
        self._partitions = metrics.partitions.labels(name)
        self._failing = ""
        self._getting_ready = "has not come to its topics yet"

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop`` is set; after a failure, begin anew from PostgreSQL's offsets."""
        structlog.contextvars.bind_contextvars(group=self._group.name)
        while not stop.is_set():
            try:
                self._read_cluster(stop)
            except AdctlError as exc:
                self._fail(str(exc))
            except Exception as exc:
                log.exception("bug in the consumer")
                self._fail(repr(exc))
            self._partitions.set(0)
            stop.wait(_PAUSE_SEC)

    def check(self) -> None:
        """Return if the topics are being read. Raises StoreUnavailableError."""
        if told := self._failing or self._getting_ready:
            raise StoreUnavailableError(told)

    def _read_cluster(self, stop: threading.Event) -> None:
        cluster_id = self._admin.cluster_id()
        self._admin.ensure_topics()
        partitions = [
            (topic, number)
            for topic, count in self._admin.partitions().items()
            for number in range(count)
            if topic in self._group.topics
        ]
        self._begin(cluster_id, partitions, stop)
        with GroupConsumer(
            self._bootstrap,
            self._prefix + self._group.name,
            self._group.topics,
            lambda: self._reading.next_offsets(cluster_id),
            self._prefix,
        ) as consumer:
            self._read(consumer, cluster_id, stop)

    def _begin(
        self, cluster_id: str, partitions: Sequence[tuple[str, int]], stop: threading.Event
    ) -> None:
        """Return when the group may read the cluster; not ready until then, if that takes long."""

        def tell(step: Step) -> None:
            self._getting_ready = f"not ready to read a new Kafka cluster: {step.told}"
            log.info("getting ready to read a new cluster", step=step.told, left=step.left)
            self._failing = ""

        if self._rebuilder.begin_cluster(cluster_id, partitions, stop.is_set, tell):
            log.info("reading a cluster for the first time", cluster=cluster_id)
        self._getting_ready = ""

    def _look(
        self, consumer: GroupConsumer, counted: Counted, cluster_id: str, stop: threading.Event
    ) -> None:
        def find_ends(places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
            found = {place: consumer.end(place) for place in places if not stop.is_set()}
            # Of another cluster they would say that nothing is left to count.
            if stop.is_set() or consumer.cluster_id() != cluster_id:
                raise StoreUnavailableError(f"Kafka: cluster {cluster_id} was replaced")
            return found

        if stop.is_set():
            return
        if anew := counted.look(find_ends):
            self._rebuilder.begin_again(cluster_id, anew)
            names = ", ".join(f"{topic}/{number}" for topic, number in anew)
            raise StoreUnavailableError(f"Kafka: partitions were made anew: {names}")

    def _read(self, consumer: GroupConsumer, cluster_id: str, stop: threading.Event) -> None:
        checked_at, look_at = time.monotonic(), 0.0
        counted = self._rebuilder.counted(cluster_id)
        while not stop.is_set():
            messages = consumer.poll(self._batch_size, _POLL_SEC)
            self._partitions.set(consumer.assigned)
            # Asked after reading and before writing: while the id is the same, so was the cluster
            # that the messages and their offsets are from.
            # And while a fault stands, as soon as there is something to read again.
            mended = self._failing and consumer.assigned
            if messages or mended or time.monotonic() - checked_at > _CHECK_CLUSTER_SEC:
                if consumer.cluster_id() != cluster_id:
                    raise StoreUnavailableError(f"Kafka: cluster {cluster_id} was replaced")
                checked_at = time.monotonic()
                self._recovered()
            if messages and (batch := self._apply(cluster_id, messages, stop)):
                consumer.commit(batch.next_offsets)
            if time.monotonic() >= look_at:
                self._look(consumer, counted, cluster_id, stop)
                look_at = time.monotonic() + _LOOK_SEC

    def _apply(
        self, cluster_id: str, messages: Sequence[IncomingMessage], stop: threading.Event
    ) -> AppliedBatch | None:
        # Kept in hand over an outage of PostgreSQL: leaving the group would cost seconds more.
        while not stop.is_set():
            try:
                with self._batch_seconds.time():
                    batch = self._reading.apply(cluster_id, messages)
            except StoreUnavailableError as exc:
                self._fail(str(exc))
                stop.wait(_PAUSE_SEC)
            else:
                self._recovered()
                self._count(batch)
                return batch
        return None

    def _count(self, batch: AppliedBatch) -> None:
        outcomes = {
            "applied": batch.applied,
            "skipped": batch.skipped,
            "dead_letter": len(batch.dead),
        }
        for outcome, count in outcomes.items():
            self._messages.labels(self._group.name, outcome).inc(count)
        for message, reason, detail in batch.dead:
            log.error(
                "message put on the dead-letter topic",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                reason=reason,
                detail=detail,
            )

    def _fail(self, told: str) -> None:
        self._failures.inc()
        if not self._failing:
            log.error("reading interrupted", error=told)
        self._failing = told

    def _recovered(self) -> None:
        if self._failing:
            log.info("reading again")
        self._failing = ""
