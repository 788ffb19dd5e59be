"""What can be set for one Kafka topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from adctl.config_faults import shown
from adctl.config_section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPACTED = "campaigns"


class TopicSettings(Section):
    """``[kafka.topics.NAME]``. 0 partitions: those of ``[kafka]``; 0 retention: no limit."""

    partitions: int = Field(default=0, ge=0, le=10_000)
    retention_hours: int = Field(default=0, ge=0)
    retention_mb: int = Field(default=0, ge=0)


TOPIC_DEFAULTS: Mapping[str, TopicSettings] = {
    "bids": TopicSettings(retention_hours=168),
    "wins": TopicSettings(retention_hours=168),
    "impressions": TopicSettings(retention_hours=168),
    "clicks": TopicSettings(retention_hours=168),
    "conversions": TopicSettings(retention_hours=168),
    COMPACTED: TopicSettings(),
    "alarms": TopicSettings(retention_hours=168),
    "dead-letters": TopicSettings(partitions=1, retention_hours=720, retention_mb=256),
}


def complete_topics(topics: Mapping[str, TopicSettings]) -> dict[str, TopicSettings]:
    """Return the settings of every topic. Raises ValueError for a topic that does not exist.

    The compacted one keeps the last message of each key for ever, and has no retention.
    """
    if wrong := sorted(topics.keys() - TOPIC_DEFAULTS.keys()):
        expected = f"tables named {', '.join(TOPIC_DEFAULTS)}"
        raise ValueError(f"{expected}, not {', '.join(repr(shown(name)) for name in wrong)}")
    compacted = topics.get(COMPACTED, TopicSettings())
    if compacted.retention_hours or compacted.retention_mb:
        raise ValueError(f"retention_hours and retention_mb 0 for {COMPACTED}: it is compacted")
    return {**TOPIC_DEFAULTS, **topics}
