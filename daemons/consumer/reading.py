"""The loop that reads the analytics topics, through outages and replaced clusters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from adctl.control.analytics import GROUP, TOPICS, Analytics, AppliedBatch
from adctl.errors import AdctlError, StoreUnavailableError
from adctl.streams.consumer import GroupConsumer

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from adctl.config import KafkaSettings
    from adctl.control.rebuilding import RollupRebuilder
    from adctl.streams.admin import KafkaAdmin
    from adctl.streams.consumer import IncomingMessage
    from daemons.consumer.metrics import ConsumerMetrics

log = structlog.get_logger()

_POLL_SEC = 0.25
_CHECK_CLUSTER_SEC = 5.0
_PAUSE_SEC = 1.0


class AnalyticsReader:
    """Keeps the rollups up to date for as long as it runs. One thread runs it."""

    def __init__(
        self,
        bootstrap: str,
        kafka: KafkaSettings,
        admin: KafkaAdmin,
        analytics: Analytics,
        rebuilder: RollupRebuilder,
        batch_size: int,
        metrics: ConsumerMetrics,
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = kafka.topic_prefix
        self._admin = admin
        self._analytics = analytics
        self._rebuilder = rebuilder
        self._batch_size = batch_size
        self._metrics = metrics
        self._failing = ""

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop`` is set; after a failure, begin anew from PostgreSQL's offsets."""
        while not stop.is_set():
            try:
                self._read_cluster(stop)
            except AdctlError as exc:
                self._fail(str(exc))
            except Exception as exc:
                log.exception("bug in the consumer")
                self._fail(repr(exc))
            self._metrics.partitions.set(0)
            stop.wait(_PAUSE_SEC)

    def check(self) -> None:
        """Return if the topics are being read. Raises StoreUnavailableError."""
        if self._failing:
            raise StoreUnavailableError(self._failing)

    def _read_cluster(self, stop: threading.Event) -> None:
        cluster_id = self._admin.cluster_id()
        self._admin.ensure_topics()
        partitions = [
            (topic, number)
            for topic, count in self._admin.partitions().items()
            for number in range(count)
            if topic in TOPICS
        ]
        if self._rebuilder.begin_cluster(cluster_id, partitions):
            log.info("reading a cluster for the first time", cluster=cluster_id)
        with GroupConsumer(
            self._bootstrap,
            self._prefix + GROUP,
            TOPICS,
            lambda: self._analytics.next_offsets(cluster_id),
            self._prefix,
        ) as consumer:
            self._read(consumer, cluster_id, stop)

    def _read(self, consumer: GroupConsumer, cluster_id: str, stop: threading.Event) -> None:
        checked_at = time.monotonic()
        while not stop.is_set():
            messages = consumer.poll(self._batch_size, _POLL_SEC)
            self._metrics.partitions.set(consumer.assigned)
            # Asked after reading and before writing: while the id is the same, so was the cluster
            # that the messages and their offsets are from.
            if messages or time.monotonic() - checked_at > _CHECK_CLUSTER_SEC:
                if consumer.cluster_id() != cluster_id:
                    raise StoreUnavailableError(f"Kafka: cluster {cluster_id} was replaced")
                checked_at = time.monotonic()
                self._recovered()
            if messages and (batch := self._apply(cluster_id, messages, stop)):
                consumer.commit(batch.next_offsets)

    def _apply(
        self, cluster_id: str, messages: Sequence[IncomingMessage], stop: threading.Event
    ) -> AppliedBatch | None:
        # Kept in hand over an outage of PostgreSQL: leaving the group would cost seconds more.
        while not stop.is_set():
            try:
                with self._metrics.batch_seconds.time():
                    batch = self._analytics.apply(cluster_id, messages)
            except StoreUnavailableError as exc:
                self._fail(str(exc))
                stop.wait(_PAUSE_SEC)
            else:
                self._recovered()
                self._count(batch)
                return batch
        return None

    def _count(self, batch: AppliedBatch) -> None:
        self._metrics.messages.labels("applied").inc(batch.applied)
        self._metrics.messages.labels("skipped").inc(batch.skipped)
        self._metrics.messages.labels("dead_letter").inc(len(batch.dead))
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
        self._metrics.failures.inc()
        if not self._failing:
            log.error("reading interrupted", error=told)
        self._failing = told

    def _recovered(self) -> None:
        if self._failing:
            log.info("reading again")
        self._failing = ""
