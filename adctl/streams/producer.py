"""Sending messages that must arrive: acknowledged by all replicas, in order, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaError, Producer

from adctl.errors import StoreUnavailableError
from adctl.streams.client import MAX_MESSAGE_BYTES, client_settings, kafka_errors, read_metadata
from adctl.streams.schemas import HEADER_VALUES, VERSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import Message

    Confirm = Callable[[KafkaError | None, Message], None]

STREAM_ID_HEADER = "stream_id"
RETRIED_FROM_HEADER = "retried_from"
RETRIED_FOR_HEADER = "retried_for"
SEND_TIMEOUT_SEC = 10.0


class OutgoingMessage(NamedTuple):
    """A message for Kafka. ``topic`` is without the prefix; the rest goes into headers.

    ``schema_version`` '' is the topic's of today. ``retried_from`` is the origin of a message that
    is sent again, ``retried_for`` the one group that is to read it.
    """

    topic: str
    key: bytes
    value: bytes
    stream_id: str = ""
    schema_version: str = ""
    retried_from: str = ""
    retried_for: str = ""


class ReliableProducer:
    """Sends batches and waits for them. For one caller at a time; connects when first used."""

    def __init__(
        self, bootstrap: str, topic_prefix: str = "", timeout_sec: float = SEND_TIMEOUT_SEC
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = topic_prefix
        self._timeout_sec = timeout_sec
        self._producer: Producer | None = None
        self._cluster_id = ""

    def cluster_id(self) -> str:
        """Return the id of the cluster as it is now. Raises StoreUnavailableError."""
        cluster_id = str(read_metadata(self._client()).cluster_id)
        if self._cluster_id and cluster_id != self._cluster_id:
            # Its numbering of messages means nothing to the new one, which would not answer.
            self.close()
        self._cluster_id = cluster_id
        return cluster_id

    def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Return once every message is acknowledged by all replicas, in order per key.

        Raises StoreUnavailableError if even one is not within the time; then a beginning of them,
        in order, may have arrived, and sending all of them again is right.
        """
        if not messages:
            return
        failures: list[str] = []

        def confirm(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error.str())

        producer = self._client()
        try:
            with kafka_errors("send messages"):
                for message in messages:
                    _produce(producer, self._prefix, message, confirm)
                waiting = producer.flush(self._timeout_sec)
        except StoreUnavailableError:
            self.close()
            raise
        if waiting or failures:
            # What is still queued would arrive behind the repeat, and an idempotent producer that
            # has lost its place (a restarted broker) never finds it again.
            self.close()
            told = failures[0] if failures else f"no answer in {self._timeout_sec:g} s"
            raise StoreUnavailableError(f"Kafka: could not send messages: {told}")

    def close(self) -> None:
        """Drop the connection and whatever has not been sent; the next call makes a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)

    def _client(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                client_settings(
                    self._bootstrap,
                    acks="all",
                    enable_idempotence=True,
                    # A message that cannot be sent stops those behind it, and none is given up by
                    # the clock: either would let a later one overtake an earlier one.
                    enable_gapless_guarantee=True,
                    message_timeout_ms=0,
                    linger_ms=5,
                    message_max_bytes=MAX_MESSAGE_BYTES,
                )
            )
        return self._producer


def _produce(producer: Producer, prefix: str, message: OutgoingMessage, confirm: Confirm) -> None:
    headers: dict[str, str | bytes | None] = {
        VERSION_HEADER: message.schema_version.encode() or HEADER_VALUES[message.topic]
    }
    if message.stream_id:
        headers[STREAM_ID_HEADER] = message.stream_id.encode()
    if message.retried_from:
        headers[RETRIED_FROM_HEADER] = message.retried_from.encode()
    if message.retried_for:
        headers[RETRIED_FOR_HEADER] = message.retried_for.encode()
    while True:
        try:
            producer.produce(
                prefix + message.topic,
                key=message.key,
                value=message.value,
                headers=headers,
                on_delivery=confirm,
            )
        except BufferError:
            producer.poll(0.1)
        else:
            return
