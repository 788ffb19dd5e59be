"""Where partitions begin and end, what is at an offset, and which offset a moment has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from confluent_kafka import Consumer, TopicPartition

from adctl.streams.client import client_settings, kafka_errors, partitions_of, read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Partition = tuple[str, int]

_TIMEOUT_SEC = 5.0
_MESSAGE_TIMEOUT_SEC = 2.0


class Extent(NamedTuple):
    """The first offset a partition still has, and that of the next message to come."""

    begin: int
    end: int


class PartitionPlaces:
    """Looks at partitions without joining a group. For one thread; a context manager.

    Topics are named without the prefix. Raises StoreUnavailableError throughout.
    """

    def __init__(self, bootstrap: str, topic_prefix: str = "") -> None:
        self._prefix = topic_prefix
        self._consumer = Consumer(
            client_settings(
                bootstrap,
                # librdkafka wants a name; nothing is ever committed under it.
                group_id="adctl-places",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Hang up."""
        self._consumer.close()

    def extents(self, topics: Iterable[str]) -> dict[Partition, Extent]:
        """Return what each partition of ``topics`` holds; topics that do not exist are left out."""
        found = partitions_of(read_metadata(self._consumer))
        with kafka_errors("find where topics end"):
            return {
                (topic, number): Extent(
                    *self._consumer.get_watermark_offsets(
                        self._at((topic, number)), timeout=_TIMEOUT_SEC
                    )
                )
                for topic in topics
                for number in range(found.get(self._prefix + topic, 0))
            }

    def offset_at(self, partition: Partition, at_ms: int, extent: Extent) -> int:
        """Return the offset of the first message of ``at_ms`` or later; the end if there is none.

        A message's time is when its producer sent it.
        """
        with kafka_errors("find the offset of a moment"):
            (found,) = self._consumer.offsets_for_times(
                [self._at(partition, at_ms)], timeout=_TIMEOUT_SEC
            )
        # Kafka says "the end" where there is none; the embedded broker says 0.
        offset = int(found.offset)
        return extent.end if offset < 0 else max(offset, extent.begin)

    def sent_at_ms(self, places: Mapping[Partition, int]) -> dict[Partition, int]:
        """Return when the messages at ``places`` were sent, of those that are there."""
        found: dict[Partition, int] = {}
        for partition, offset in places.items():
            with kafka_errors("read a message"):
                self._consumer.assign([self._at(partition, offset)])
                message = self._consumer.poll(_MESSAGE_TIMEOUT_SEC)
            if message is not None and message.error() is None:
                found[partition] = int(message.timestamp()[1])
        return found

    def _at(self, partition: Partition, offset: int = 0) -> TopicPartition:
        topic, number = partition
        return TopicPartition(self._prefix + topic, number, offset)
