"""The record of every decision, sent to Kafka without ever holding up a bid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import KafkaException, Producer

from adctl.streams import topics
from adctl.streams.schemas import HEADER_VALUES, VERSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import KafkaError, Message

    from adctl.config import KafkaSettings
    from adctl.decisions import Decision


class DecisionLog:
    """Sends decisions from a bounded buffer; when it is full they are dropped and counted.

    They are written as JSON and handed over by ``send``, when nobody waits for an answer.
    Make it after forking: the producer has threads of its own.
    """

    def __init__(
        self,
        bootstrap: str,
        settings: KafkaSettings,
        buffer: int,
        on_drop: Callable[[], None],
    ) -> None:
        self._topic = settings.topic_prefix + topics.BIDS
        self._headers: list[tuple[str, str | bytes | None]] = [
            (VERSION_HEADER, HEADER_VALUES[topics.BIDS])
        ]
        self._on_drop = on_drop
        self._buffer = buffer
        self._waiting: list[Decision] = []
        self._encode = msgspec.json.Encoder().encode
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "queue.buffering.max.messages": buffer,
                "linger.ms": 50,
                "compression.type": "lz4",
                "message.timeout.ms": 30_000,
                "log_level": 0,
                # Only drops are of interest, and hearing of each takes as long as sending.
                "delivery.report.only.error": True,
            }
        )

    def record(self, decision: Decision) -> None:
        """Keep ``decision`` for ``send``; never waits and never raises."""
        if len(self._waiting) < self._buffer:
            self._waiting.append(decision)
        else:
            self._on_drop()

    def send(self) -> None:
        """Queue what was recorded for Kafka; never waits and never raises."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for decision in waiting:
                self._queue(decision)
        self._producer.poll(0)

    def close(self, timeout_sec: float = 3.0) -> None:
        """Send what is queued, for at most ``timeout_sec``; the rest is counted as dropped."""
        self.send()
        for _ in range(self._producer.flush(timeout_sec)):
            self._on_drop()

    def _queue(self, decision: Decision) -> None:
        try:
            self._producer.produce(
                self._topic,
                self._encode(decision),
                decision.request_id.encode("utf-8", "replace"),
                headers=self._headers,
                on_delivery=self._delivered,
            )
        except (BufferError, KafkaException):
            self._on_drop()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._on_drop()
