"""Reading topics whole, for whoever checks what Kafka holds; no group, no offsets kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from confluent_kafka import Consumer, TopicPartition

from adctl.streams.client import client_settings, kafka_errors, partitions_of, read_metadata
from adctl.streams.consumer import IncomingMessage, incoming

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BATCH = 1000
# A poll returns only when it is over, or the batch is full.
_POLL_SEC = 0.05
_WATERMARK_SEC = 5.0


class TopicReader:
    """Reads topics from their beginning to where they end when it is made.

    For one thread; use it as a context manager. Raises StoreUnavailableError throughout.
    """

    def __init__(self, bootstrap: str, topics: Iterable[str], topic_prefix: str = "") -> None:
        self._prefix = topic_prefix
        self._consumer = Consumer(
            client_settings(
                bootstrap,
                # librdkafka wants a name; nothing is ever committed under it.
                group_id="adctl-reader",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                enable_partition_eof=False,
                fetch_wait_max_ms=50,
            )
        )
        self._ends = self._find_ends({topic_prefix + topic for topic in topics})
        self.total = sum(end - begin for begin, end in self._ends.values())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Hang up."""
        self._consumer.close()

    def batches(self) -> Iterator[list[IncomingMessage]]:
        """Yield all there is, in batches; each partition's in order."""
        left = {place: end for place, (begin, end) in self._ends.items() if begin < end}
        self._consumer.assign([TopicPartition(*place, self._ends[place][0]) for place in left])
        while left:
            with kafka_errors("read messages"):
                messages = self._consumer.consume(_BATCH, _POLL_SEC)
            batch = [incoming(message, self._prefix) for message in messages]
            for message in batch:
                place = (self._prefix + message.topic, message.partition)
                if message.offset + 1 >= left.get(place, 0):
                    left.pop(place, None)
            if batch:
                yield batch

    def _find_ends(self, names: set[str]) -> dict[tuple[str, int], tuple[int, int]]:
        partitions = partitions_of(read_metadata(self._consumer))
        with kafka_errors("find where topics end"):
            return {
                (name, number): self._consumer.get_watermark_offsets(
                    TopicPartition(name, number), timeout=_WATERMARK_SEC
                )
                for name in sorted(names & partitions.keys())
                for number in range(partitions[name])
            }
