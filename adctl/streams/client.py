"""What all Kafka clients of adctl share: their settings, their log, and the cluster's identity."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METADATA_TIMEOUT_SEC = 5

# librdkafka reports a lost broker once per client and second; those who wait for it say so better.
logging.getLogger("adctl.kafka").setLevel(logging.CRITICAL)


MAX_MESSAGE_BYTES = 16 << 20
"""The largest message: a campaign with long lists of domains and apps."""


def client_settings(bootstrap: str, **more: object) -> dict[str, Any]:
    """Return the settings of a client that comes back within a second of its broker."""
    return {
        "bootstrap.servers": bootstrap,
        "logger": logging.getLogger("adctl.kafka"),
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "socket.timeout.ms": 10_000,
        **{name.replace("_", "."): value for name, value in more.items()},
    }


@contextmanager
def kafka_errors(doing: str) -> Iterator[None]:
    """Turn the client's exceptions into StoreUnavailableError, naming what was being done."""
    try:
        yield
    except KafkaException as exc:
        error = exc.args[0]
        told = error.str() if isinstance(error, KafkaError) else str(error)
        raise StoreUnavailableError(f"Kafka: could not {doing}: {told}") from exc


def read_metadata(client: Any, timeout_sec: float = METADATA_TIMEOUT_SEC) -> Any:
    """Ask the cluster what it is and holds, afresh. Raises StoreUnavailableError."""
    with kafka_errors("reach the cluster"):
        return client.list_topics(timeout=timeout_sec)


def partitions_of(metadata: Any) -> Mapping[str, int]:
    """Return each topic of the cluster with its number of partitions."""
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}
