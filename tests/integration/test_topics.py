from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config_topics import TopicSettings
from adctl.control.topic_plan import TopicPlan
from adctl.errors import NotFoundError
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin

if TYPE_CHECKING:
    from adctl.config import KafkaSettings


def plan(kafka: KafkaSettings, **changes: TopicSettings) -> TopicPlan:
    changed = kafka.model_copy(update={"topics": {**kafka.topics, **changes}})
    return TopicPlan(KafkaAdmin(kafka.bootstrap, changed))


def test_topics_are_created_as_configured(kafka: KafkaSettings) -> None:
    wanted = TopicSettings(partitions=2, retention_hours=5, retention_mb=7)
    assert plan(kafka, clicks=wanted).create() == list(topics.ALL)
    clicks = plan(kafka, clicks=wanted).topic("clicks")
    assert (clicks.state, clicks.partitions) == ("there", 2)
    assert (clicks.retention_hours, clicks.retention_mb) == (5, 7)
    assert plan(kafka).topic("wins").partitions == kafka.partitions


def test_campaigns_are_compacted(kafka: KafkaSettings) -> None:
    plan(kafka).create()
    assert [one.topic for one in plan(kafka).topics() if one.compacted] == ["campaigns"]


def test_creating_again_changes_nothing(kafka: KafkaSettings) -> None:
    plan(kafka).create()
    assert plan(kafka, clicks=TopicSettings(partitions=9)).create() == []
    assert plan(kafka).topic("clicks").partitions == kafka.partitions


def test_what_differs_from_the_configuration_is_told(kafka: KafkaSettings) -> None:
    plan(kafka).create()
    assert [one.differs for one in plan(kafka).topics()] == [()] * len(topics.ALL)
    other = plan(kafka, clicks=TopicSettings(partitions=9, retention_hours=1))
    assert other.topic("clicks").differs == (
        f"{kafka.partitions} partitions instead of 9",
        "retention.ms 604800000 instead of 3600000",
    )


def test_a_topic_that_is_missing_is_shown_as_it_would_be(kafka: KafkaSettings) -> None:
    wins = plan(kafka).topic("wins")
    assert (wins.state, wins.partitions, wins.retention_hours) == ("missing", 3, 168)


def test_a_name_that_is_no_topic_is_not_found(kafka: KafkaSettings) -> None:
    with pytest.raises(NotFoundError, match="there are bids"):
        plan(kafka).topic("click")


@pytest.fixture
def environment(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("ADCTL_KAFKA_TOPIC_PREFIX", kafka.topic_prefix)


def run(line: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(app, [*line.split(), "--output", "json"])
    assert result.exit_code == 0, result.stderr
    return msgspec.json.decode(result.stdout)


def test_a_dry_run_creates_no_topic(environment: None) -> None:
    assert {row["done"] for row in run("topic create --dry-run")} == {"would be created"}
    assert {row["state"] for row in run("topic list")} == {"missing"}
    assert {row["done"] for row in run("topic create")} == {"created"}
    assert {row["done"] for row in run("topic create")} == {"existed"}
