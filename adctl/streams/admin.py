"""Making the topics, and asking a cluster what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from adctl.errors import StoreUnavailableError
from adctl.streams import topics
from adctl.streams.client import client_settings, partitions_of, read_metadata

if TYPE_CHECKING:
    from concurrent.futures import Future

    from adctl.config import KafkaSettings

_CREATE_TIMEOUT_SEC = 10


class KafkaAdmin:
    """Administers one cluster's topics. Safe to share between threads; connects when first used."""

    def __init__(self, bootstrap: str, settings: KafkaSettings) -> None:
        self._client = AdminClient(client_settings(bootstrap))
        self._settings = settings

    def cluster_id(self) -> str:
        """Return the cluster's id: an embedded broker has another after every start.

        Raises StoreUnavailableError.
        """
        return str(read_metadata(self._client).cluster_id)

    def partitions(self) -> dict[str, int]:
        """Return adctl's topics, without the prefix, with their number of partitions."""
        found = partitions_of(read_metadata(self._client))
        prefix = self._settings.topic_prefix
        return {name: found[prefix + name] for name in topics.ALL if found.get(prefix + name)}

    def ensure_topics(self) -> None:
        """Make the topics that are missing; those that are there stay as they are.

        Any number of programs may call it at once. Raises StoreUnavailableError.
        """
        missing = [name for name in topics.ALL if name not in self.partitions()]
        if not missing:
            return
        created = self._client.create_topics(
            [self._topic(name) for name in missing], operation_timeout=_CREATE_TIMEOUT_SEC
        )
        for name, outcome in created.items():
            _await_created(name, outcome)

    def _topic(self, name: str) -> NewTopic:
        return NewTopic(
            self._settings.topic_prefix + name,
            num_partitions=self._settings.partitions,
            replication_factor=self._settings.replication,
            config={"cleanup.policy": "compact"} if name == topics.CAMPAIGNS else {},
        )


def _await_created(name: str, outcome: Future[None]) -> None:
    try:
        outcome.result(_CREATE_TIMEOUT_SEC)
    except KafkaException as exc:
        if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise StoreUnavailableError(f"Kafka: could not create topic {name}: {exc}") from exc
