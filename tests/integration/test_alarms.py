"""Alarms from the pacer's looks to PostgreSQL and Kafka, each once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.alarms import Alarm, AlarmKind
from adctl.cli.root import app
from adctl.config_notices import AlarmSettings
from adctl.control.alarms import (
    AlarmWatch,
    FoundAlarm,
    publish_alarms,
    raise_alarms,
    raise_rejected,
)
from adctl.control.steering import Pacer
from adctl.delivery.alarms import Reason
from adctl.errors import StoreUnavailableError
from adctl.stores.steering import SteeringStore
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from adctl.streams.reader import TopicReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from tests.integration.house import House

NOW = datetime.now(UTC)
HALF = Reason(AlarmKind.DAILY_BUDGET, 50, "2026-11-01", 1000, 500)


def waiting(postgres: psycopg.Connection) -> tuple[int, int]:
    found = postgres.execute(
        "SELECT count(*), count(*) FILTER (WHERE NOT published) FROM alarm"
    ).fetchone()
    postgres.commit()
    return found


def test_an_alarm_is_raised_once_whoever_finds_it_again(
    house: House, pool: ConnectionPool[psycopg.Connection], postgres: psycopg.Connection
) -> None:
    for _ in range(2):
        raise_alarms(pool, [FoundAlarm(house.campaign_id, HALF, NOW)])
    raise_alarms(pool, [FoundAlarm(house.campaign_id, HALF._replace(scope="2026-11-02"), NOW)])
    raise_alarms(pool, [FoundAlarm(99, HALF, NOW)])
    assert waiting(postgres) == (2, 2)


def test_the_pacer_finds_what_is_spent(
    house: House, pool: ConnectionPool[psycopg.Connection], postgres: psycopg.Connection
) -> None:
    watch = AlarmWatch(AlarmSettings(pacing_percent=0))
    pacer = Pacer(
        house.plane.catalog,
        house.budgets,
        SteeringStore(house.redis),
        lambda *seen: raise_alarms(pool, watch.look(*seen)),
    )
    house.plane.catalog.fill([house.campaign])
    assert pacer.steer(NOW) == 1
    assert waiting(postgres) == (0, 0)
    house.redis.hset(house.key, "spent", str(house.campaign.total_budget_nanos * 8 // 10))
    pacer.steer(NOW)
    pacer.steer(NOW)
    kinds = postgres.execute("SELECT kind, percent FROM alarm ORDER BY percent").fetchall()
    assert kinds == [("budget.total", 50), ("budget.total", 80)]


def test_alarms_wait_for_kafka_and_go_out_with_the_same_id_again(
    house: House,
    kafka: KafkaSettings,
    pool: ConnectionPool[psycopg.Connection],
    postgres: psycopg.Connection,
) -> None:
    KafkaAdmin(kafka.bootstrap, kafka).ensure_topics()
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)

    def sent_but_not_confirmed(messages: Sequence[OutgoingMessage]) -> None:
        producer.send(messages)
        raise StoreUnavailableError("Kafka: no answer")

    raise_alarms(pool, [FoundAlarm(house.campaign_id, HALF, NOW)])
    with pytest.raises(StoreUnavailableError):
        publish_alarms(pool, sent_but_not_confirmed)
    assert waiting(postgres) == (1, 1)
    assert [publish_alarms(pool, producer.send) for _ in range(2)] == [1, 0]
    assert waiting(postgres) == (1, 0)
    producer.close()
    with TopicReader(kafka.bootstrap, [topics.ALARMS], kafka.topic_prefix) as reader:
        alarms = [
            msgspec.json.decode(message.value, type=Alarm)
            for batch in reader.batches()
            for message in batch
        ]
    assert alarms[0] == alarms[1]
    assert (alarms[0].campaign, alarms[0].kind, alarms[0].spent_nanos) == ("Spring", HALF.kind, 500)


def test_an_operator_sees_alarms(
    house: House,
    pool: ConnectionPool[psycopg.Connection],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())
    raise_alarms(pool, [FoundAlarm(house.campaign_id, HALF, NOW)])
    found = CliRunner().invoke(app, ["report", "alarms", "--campaign", "Spring", "-o", "json"])
    (row,) = msgspec.json.decode(found.stdout)
    assert (row["kind"], row["percent"], row["spent"]) == ("budget.daily", 50, "0.0000005")


REFUSE = (
    "INSERT INTO rejected_event (stream, stream_id, reason, raw, rejected_at) "
    "VALUES ('s', %s, 'r', %s, %s)"
)
HOUR = datetime(2026, 11, 1, 10, 30, tzinfo=UTC)


def refuse(postgres: psycopg.Connection, *of: tuple[object, ...]) -> None:
    for number, (campaign_id, cost_nanos, at) in enumerate(of):
        raw = msgspec.json.encode({"campaign_id": campaign_id, "cost_nanos": cost_nanos})
        postgres.execute(REFUSE, [f"{at.timestamp():.0f}-{number}", raw, at])
    postgres.commit()


def test_rejected_events_raise_an_alarm_for_each_campaign_and_one_for_what_is_of_none(
    house: House, pool: ConnectionPool[psycopg.Connection], postgres: psycopg.Connection
) -> None:
    number = house.campaign_id
    refuse(postgres, (number, 5, HOUR), (number, 7, HOUR), (2**40, 1, HOUR), (None, None, HOUR))
    for _ in range(2):
        assert raise_rejected(pool, NOW).all == 4
    sent: list[OutgoingMessage] = []
    assert publish_alarms(pool, sent.extend) == 2
    alarms = [msgspec.json.decode(message.value, type=Alarm) for message in sent]
    told = {(one.campaign_id, one.campaign, one.spent_nanos, one.events) for one in alarms}
    assert told == {(number, "Spring", 12, 2), (0, "", 1, 2)}
    assert {one.kind for one in alarms} == {"events.rejected"}


def test_rejected_events_raise_an_alarm_again_when_new_ones_come_in_another_hour(
    house: House, pool: ConnectionPool[psycopg.Connection], postgres: psycopg.Connection
) -> None:
    refuse(postgres, (house.campaign_id, 5, HOUR))
    raise_rejected(pool, NOW)
    refuse(postgres, (house.campaign_id, 5, HOUR.replace(minute=31)))
    raise_rejected(pool, NOW)
    assert waiting(postgres) == (1, 1)
    refuse(postgres, (house.campaign_id, 5, HOUR.replace(hour=11)))
    raise_rejected(pool, NOW)
    assert waiting(postgres) == (2, 2)


def test_an_operator_sees_alarms_of_no_campaign(
    house: House,
    pool: ConnectionPool[psycopg.Connection],
    postgres: psycopg.Connection,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())
    refuse(postgres, (None, None, HOUR))
    raise_rejected(pool, NOW)
    found = CliRunner().invoke(app, ["report", "alarms", "-o", "json"])
    (row,) = msgspec.json.decode(found.stdout)
    assert (row["kind"], row["campaign_id"], row["events"]) == ("events.rejected", None, 1)
