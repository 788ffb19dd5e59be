"""The topics there are, held against those the configuration wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.errors import NotFoundError
from adctl.streams import topics
from adctl.streams.schemas import file_name, version_of

if TYPE_CHECKING:
    from adctl.streams.admin import KafkaAdmin, TopicState

_MS_PER_HOUR = 3_600_000
_BYTES_PER_MB = 1 << 20


class TopicReport(NamedTuple):
    """One topic. What is None the cluster did not tell; a retention of None is without limit.

    ``differs`` names what is not as configured: nobody changes it on a topic that holds messages.
    """

    topic: str
    state: str  # there or missing
    carries: str
    key: str
    schema: str
    partitions: int
    replicas: int
    compacted: bool
    retention_hours: float | None
    retention_mb: float | None
    differs: tuple[str, ...]

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return self._asdict()


class TopicPlan:
    """What adctl's topics are and should be. Raises StoreUnavailableError throughout."""

    def __init__(self, admin: KafkaAdmin) -> None:
        self._admin = admin

    def topics(self) -> list[TopicReport]:
        """Return every topic, whether it exists or not."""
        found = self._admin.found()
        return [_report(name, self._admin.wanted(name), found.get(name)) for name in topics.ALL]

    def topic(self, name: str) -> TopicReport:
        """Return one. Raises NotFoundError."""
        if name not in topics.ALL:
            raise NotFoundError(f"no topic {name!r}; there are {', '.join(topics.ALL)}")
        return _report(name, self._admin.wanted(name), self._admin.found().get(name))

    def missing(self) -> list[str]:
        """Return the names of the topics that do not exist."""
        found = self._admin.partitions()
        return [name for name in topics.ALL if name not in found]

    def create(self) -> list[str]:
        """Create what is missing; return the names. Safe to repeat, and beside others."""
        return self._admin.ensure_topics()


def _report(name: str, wanted: TopicState, found: TopicState | None) -> TopicReport:
    of, shown = topics.OF_NAME[name], found or wanted
    return TopicReport(
        topic=name,
        state="there" if found else "missing",
        carries=of.message.__name__,
        key=of.key,
        schema=f"docs/schemas/{file_name(of.message, version_of(name))}",
        partitions=shown.partitions,
        replicas=shown.replicas,
        compacted=shown.settings.get("cleanup.policy", "").startswith("compact"),
        retention_hours=_limit(shown, "retention.ms", _MS_PER_HOUR),
        retention_mb=_limit(shown, "retention.bytes", _BYTES_PER_MB),
        differs=_differences(wanted, found) if found else (),
    )


def _differences(wanted: TopicState, found: TopicState) -> tuple[str, ...]:
    told = []
    if found.partitions != wanted.partitions:
        told.append(f"{found.partitions} partitions instead of {wanted.partitions}")
    if found.replicas != wanted.replicas:
        told.append(f"{found.replicas} replicas instead of {wanted.replicas}")
    for name, value in wanted.settings.items():
        # A compacted topic keeps the last message of a key, whatever its retention.
        compacted = wanted.settings["cleanup.policy"] == "compact"
        irrelevant = compacted and name.startswith("retention.")
        if found.settings.get(name, value) != value and not irrelevant:
            told.append(f"{name} {found.settings[name]} instead of {value}")
    return tuple(told)


def _limit(state: TopicState, name: str, unit: int) -> float | None:
    value = int(state.settings.get(name, -1))
    return None if value < 0 else round(value / unit, 3)
