"""Reading topics as one member of a consumer group, from offsets kept outside Kafka."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, TopicPartition

from adctl.errors import AdctlError, StoreUnavailableError
from adctl.streams.client import client_settings, kafka_errors, read_metadata
from adctl.streams.producer import RETRIED_FOR_HEADER, RETRIED_FROM_HEADER, STREAM_ID_HEADER
from adctl.streams.schemas import VERSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Message

    Partition = tuple[str, int]
    FindOffsets = Callable[[], Mapping[Partition, int]]

SESSION_TIMEOUT_MS = 6000
_END_SEC = 2.0


class IncomingMessage(NamedTuple):
    """A message from Kafka. ``topic`` is without the prefix; a header it has not is ''."""

    topic: str
    partition: int
    offset: int
    value: bytes
    stream_id: str
    key: bytes = b""
    schema_version: str = ""
    retried_from: str = ""
    retried_for: str = ""


class GroupConsumer:
    """One member of a group. For one thread; close it, or use it as a context manager.

    ``find_offsets`` returns the next offset of each partition ever read; it is asked whenever
    partitions are assigned, and what it raises comes out of ``poll``.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Iterable[str],
        find_offsets: FindOffsets,
        topic_prefix: str = "",
    ) -> None:
        self._prefix = topic_prefix
        self._find_offsets = find_offsets
        self._failure: AdctlError | None = None
        self._consumer = Consumer(
            client_settings(
                bootstrap,
                group_id=group,
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=SESSION_TIMEOUT_MS // 3,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                # How long a message that is there already waits for company.
                fetch_wait_max_ms=100,
            )
        )
        self._joined = False
        self._consumer.subscribe(
            [topic_prefix + topic for topic in topics],
            on_assign=self._assign,
            on_revoke=self._revoke,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Leave the group."""
        self.close()

    @property
    def assigned(self) -> int:
        """Return the number of partitions this member reads now."""
        return len(self._consumer.assignment())

    def cluster_id(self) -> str:
        """Return the id of the cluster as it is now. Raises StoreUnavailableError."""
        return str(read_metadata(self._consumer).cluster_id)

    def end(self, place: Partition) -> int:
        """Return the offset of the next message to come to a partition.

        Raises StoreUnavailableError.
        """
        topic, number = place
        with kafka_errors("find where topics end"):
            _, end = self._consumer.get_watermark_offsets(
                TopicPartition(self._prefix + topic, number), timeout=_END_SEC
            )
        return int(end)

    def poll(self, count: int, timeout_sec: float) -> list[IncomingMessage]:
        """Return up to ``count`` messages, after ``timeout_sec`` at the latest; maybe none.

        Raises StoreUnavailableError; close the consumer then, and make another.
        """
        with kafka_errors("read messages"):
            messages = self._consumer.consume(count, timeout_sec)
        if self._failure is not None:
            raise self._failure
        return [incoming(message, self._prefix) for message in messages]

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka the next offsets, for its tools to show; nothing relies on it."""
        if offsets:
            with kafka_errors("commit offsets"):
                self._consumer.commit(
                    offsets=[
                        TopicPartition(self._prefix + topic, partition, offset)
                        for (topic, partition), offset in offsets.items()
                    ],
                    asynchronous=True,
                )

    def close(self) -> None:
        """Leave the group; if it is just being joined, once it is, or after a session's timeout."""
        # The embedded broker never gets over a member that leaves while it is joining: from then on
        # the group's other members wait in vain.
        deadline = time.monotonic() + SESSION_TIMEOUT_MS / 1000
        while not self._joined and time.monotonic() < deadline:
            self._consumer.poll(0.1)
        self._consumer.close()

    def _revoke(self, _consumer: Consumer, _partitions: Sequence[TopicPartition]) -> None:
        self._joined = False

    def _assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._joined = True
        # An exception in here would be raised inside librdkafka; poll raises it instead.
        try:
            offsets = self._find_offsets()
        except AdctlError as exc:
            self._failure = exc
            return
        for partition in partitions:
            topic = partition.topic.removeprefix(self._prefix)
            partition.offset = offsets.get((topic, partition.partition), 0)
        consumer.assign(list(partitions))


def incoming(message: Message, topic_prefix: str) -> IncomingMessage:
    """Return what ``message`` carries. Raises StoreUnavailableError if it is an error."""
    error = message.error()
    if error is not None:
        raise StoreUnavailableError(f"Kafka: could not read messages: {_told(error)}")
    headers = dict(message.headers() or ())
    return IncomingMessage(
        str(message.topic()).removeprefix(topic_prefix),
        int(message.partition() or 0),
        int(message.offset() or 0),
        message.value() or b"",
        _text(headers.get(STREAM_ID_HEADER)),
        message.key() or b"",
        _text(headers.get(VERSION_HEADER)),
        _text(headers.get(RETRIED_FROM_HEADER)),
        _text(headers.get(RETRIED_FOR_HEADER)),
    )


def _text(header: str | bytes | None) -> str:
    return header.decode("ascii", "replace") if isinstance(header, bytes) else header or ""


def _told(error: KafkaError) -> str:
    return error.str() or error.name()
