"""Making the topics, and asking a cluster what it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from adctl.errors import StoreUnavailableError
from adctl.streams import topics
from adctl.streams.client import (
    MAX_MESSAGE_BYTES,
    client_settings,
    kafka_errors,
    partitions_of,
    read_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from adctl.config import KafkaSettings

_CREATE_TIMEOUT_SEC = 10
_DESCRIBE_TIMEOUT_SEC = 10
_LOOK_AGAIN_SEC = 0.02

_MS_PER_HOUR = 3_600_000
_BYTES_PER_MB = 1 << 20
_NO_LIMIT = "-1"


class TopicState(NamedTuple):
    """A topic as it is, or as the configuration wants it; ``settings`` by Kafka's names."""

    partitions: int
    replicas: int
    settings: dict[str, str]


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

    def wanted(self, name: str) -> TopicState:
        """Return how the configuration wants a topic, of the name without the prefix."""
        section = self._settings.topics[name]
        retention_ms = section.retention_hours * _MS_PER_HOUR
        retention_bytes = section.retention_mb * _BYTES_PER_MB
        largest = {"max.message.bytes": str(MAX_MESSAGE_BYTES)} if name == topics.CAMPAIGNS else {}
        return TopicState(
            section.partitions or self._settings.partitions,
            self._settings.replication,
            {
                "cleanup.policy": "compact" if topics.OF_NAME[name].compacted else "delete",
                "retention.ms": str(retention_ms or _NO_LIMIT),
                "retention.bytes": str(retention_bytes or _NO_LIMIT),
                **largest,
            },
        )

    def found(self) -> dict[str, TopicState]:
        """Return those of adctl's topics that exist, by the name without the prefix.

        The settings are those that ``wanted`` has, as far as the cluster tells them. Raises
        StoreUnavailableError.
        """
        prefix, metadata = self._settings.topic_prefix, read_metadata(self._client)
        there = [name for name in topics.ALL if prefix + name in metadata.topics]
        settings = self._read_settings([prefix + name for name in there])
        found = {}
        for name in there:
            partitions = metadata.topics[prefix + name].partitions
            replicas = min((len(one.replicas) for one in partitions.values()), default=0)
            found[name] = TopicState(len(partitions), replicas, settings[prefix + name])
        return found

    def ensure_topics(self) -> list[str]:
        """Make the topics that are missing; return their names. Others stay as they are.

        When it returns, those made are listed and can be written and read. Any number of programs
        may call it at once. Raises StoreUnavailableError.
        """
        missing = [name for name in topics.ALL if name not in self.partitions()]
        if missing:
            created = self._client.create_topics(
                [self._topic(name) for name in missing], operation_timeout=_CREATE_TIMEOUT_SEC
            )
            for name, outcome in created.items():
                _await_created(name, outcome)
            self._await_usable(missing)
        return missing

    def _await_usable(self, names: Sequence[str]) -> None:
        # Kafka confirms a topic before the brokers know of it. Who asked for the partitions now
        # would begin without some of them, and who asked for one's end would be sent away.
        deadline = time.monotonic() + _CREATE_TIMEOUT_SEC
        while not self._are_usable(names):
            if time.monotonic() > deadline:
                raise StoreUnavailableError("Kafka: the new topics do not become usable")
            time.sleep(_LOOK_AGAIN_SEC)

    def _are_usable(self, names: Sequence[str]) -> bool:
        found, prefix = self.partitions(), self._settings.topic_prefix
        if not set(names) <= found.keys():
            return False
        places = [
            TopicPartition(prefix + name, number) for name in names for number in range(found[name])
        ]
        earliest: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        asked = self._client.list_offsets(dict.fromkeys(places, earliest))
        try:
            # Only a partition's leader answers.
            for outcome in asked.values():
                outcome.result(_CREATE_TIMEOUT_SEC)
        except KafkaException:
            return False
        return True

    def _read_settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        with kafka_errors("read the settings of topics"):
            told = {
                resource.name: outcome.result(_DESCRIBE_TIMEOUT_SEC)
                for resource, outcome in self._client.describe_configs(resources).items()
            }
        kept = self.wanted(topics.CAMPAIGNS).settings
        return {
            name: {key: str(entry.value) for key, entry in told[name].items() if key in kept}
            for name in names
        }

    def _topic(self, name: str) -> NewTopic:
        partitions, replicas, settings = self.wanted(name)
        return NewTopic(
            self._settings.topic_prefix + name,
            num_partitions=partitions,
            replication_factor=replicas,
            config=settings,
        )


def _await_created(name: str, outcome: Future[None]) -> None:
    try:
        outcome.result(_CREATE_TIMEOUT_SEC)
    except KafkaException as exc:
        if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise StoreUnavailableError(f"Kafka: could not create topic {name}: {exc}") from exc
