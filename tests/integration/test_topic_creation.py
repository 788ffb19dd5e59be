from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    from adctl.config import KafkaSettings


def test_topics_can_be_listed_and_read_as_soon_as_they_are_made(kafka: KafkaSettings) -> None:
    for turn in range(5):
        own = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}{turn}-"})
        admin = KafkaAdmin(own.bootstrap, own)
        admin.ensure_topics()
        assert admin.partitions().keys() == set(topics.ALL)
        with TopicReader(own.bootstrap, topics.ALL, own.topic_prefix) as reader:
            assert reader.total == 0
