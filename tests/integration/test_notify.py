"""The group notify: who is told of which events, once; and webhooks as an operator handles them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.alarms import Alarm, AlarmKind
from adctl.cli.root import app
from adctl.control import webhooks
from adctl.control.notify import Notify
from adctl.errors import FaultyInputError
from adctl.models import BidStrategy, Campaign, CampaignChange, Status
from adctl.streams import topics
from adctl.streams.consumer import IncomingMessage
from adctl.streams.producer import OutgoingMessage, ReliableProducer
from tests.integration.receiver import receiving

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.control.daemon_process import DaemonProcess
    from adctl.control.poison import Poison
    from tests.integration.house import House

    Pool = ConnectionPool[psycopg.Connection]

URL = "https://ops.example/hook"


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


def change(version: int, advertiser_id: int = 1) -> bytes:
    campaign = Campaign(
        id=7,
        advertiser_id=advertiser_id,
        name="Spring",
        status=Status.ACTIVE,
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=1,
        daily_budget_nanos=10**9,
        total_budget_nanos=5 * 10**9,
        starts_at=later(),
    )
    return msgspec.json.encode(
        CampaignChange(
            7, version, "campaign.pause", later(), "ann", serving=True, campaign=campaign
        )
    )


def alarm(number: int, kind: AlarmKind = AlarmKind.DAILY_BUDGET) -> bytes:
    return msgspec.json.encode(Alarm(number, kind, 7, "Spring", 1, 80, "d", later(), 1000, 800))


class Group:
    """The group, worked by hand."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.buried: list[Poison] = []
        self.reading = Notify(pool, lambda _cluster_id, poison: self.buried.extend(poison))
        self._offset = 0

    def tell(self, topic: str, value: bytes, **more: str) -> IncomingMessage:
        self._offset += 1
        message = IncomingMessage(topic, 0, self._offset, value, "", **more)
        self.reading.apply("cluster", [message])
        return message

    def hook(self, *events: str, advertiser_id: int | None = None) -> int:
        with self.pool.connection() as conn:
            return webhooks.create(conn, "ann", URL, events, advertiser_id)[0].id

    def owed(self, webhook_id: int) -> list[str]:
        with self.pool.connection() as conn:
            found = webhooks.deliveries(conn, webhook_id, None, 100)
        return [one.event_id for one in reversed(found)]


@pytest.fixture
def group(pool: Pool, postgres: psycopg.Connection) -> Group:
    postgres.execute("INSERT INTO advertiser (name) VALUES ('Acme'), ('Bree')")
    postgres.commit()
    return Group(pool)


def test_an_alarm_of_no_campaign_is_owed_to_webhooks_of_no_advertiser(group: Group) -> None:
    everything, rejected = group.hook(), group.hook("events.rejected")
    hers = group.hook(advertiser_id=1)
    raised = Alarm(3, AlarmKind.REJECTED, 0, "", 0, 0, "2026-11-01T10", later(), 0, 0, 0, 2)
    group.tell(topics.ALARMS, msgspec.json.encode(raised))
    assert group.owed(everything) == group.owed(rejected) == ["alarm-3"]
    assert group.owed(hers) == []


def test_a_webhook_is_owed_what_it_asked_for(group: Group) -> None:
    everything, budgets, other = group.hook(), group.hook("budget.daily"), group.hook()
    group.hook("pacing.ahead", advertiser_id=2)
    hers = group.hook(advertiser_id=2)
    group.tell(topics.CAMPAIGNS, change(1))
    group.tell(topics.CAMPAIGNS, change(2, advertiser_id=2))
    group.tell(topics.ALARMS, alarm(1))
    group.tell(topics.ALARMS, alarm(2, AlarmKind.BEHIND))
    every = ["campaign-7-1", "campaign-7-2", "alarm-1", "alarm-2"]
    assert group.owed(everything) == group.owed(other) == every
    assert group.owed(budgets) == ["alarm-1"]
    assert group.owed(hers) == ["campaign-7-2"]


def test_an_event_that_comes_again_is_owed_once(group: Group) -> None:
    hook = group.hook()
    first = group.tell(topics.CAMPAIGNS, change(1))
    group.reading.apply("cluster", [first])
    group.tell(topics.CAMPAIGNS, change(1))  # the outbox repeats itself after a crash
    group.reading.apply("another cluster", [first])
    assert group.owed(hook) == ["campaign-7-1"]


def test_a_webhook_is_not_told_of_what_was_before_it(group: Group) -> None:
    before = msgspec.json.decode(change(1), type=CampaignChange)
    long_ago = msgspec.structs.replace(before, at=datetime.now(UTC) - timedelta(minutes=1))
    hook = group.hook()
    group.tell(topics.CAMPAIGNS, msgspec.json.encode(long_ago))
    assert group.owed(hook) == []


def test_amounts_are_decimals_and_secrets_are_nowhere(
    group: Group, postgres: psycopg.Connection
) -> None:
    group.hook()
    group.tell(topics.CAMPAIGNS, change(1))
    group.tell(topics.ALARMS, alarm(1))
    bodies = [json.loads(row[0]) for row in postgres.execute("SELECT body FROM webhook_delivery")]
    assert bodies[0]["type"] == "campaign.changed"
    assert bodies[0]["data"]["total_budget"] == "5.00"
    assert (bodies[1]["type"], bodies[1]["data"]["percent"]) == ("budget.daily", 80)
    (audited,) = postgres.execute("SELECT after FROM audit WHERE entity = 'webhook'").fetchone()
    assert "secret" not in str(audited)


@pytest.mark.parametrize("topic", [topics.CAMPAIGNS, topics.ALARMS])
@pytest.mark.parametrize(
    ("value", "version", "reason"),
    [
        (b"\xff", "", "not_json"),
        (b'{"campaign_id":"x"}', "1", "wrong_shape"),
        (b'{"campaign_id":"x"}', "99", "newer_schema"),
        (b"{}", "new", "bad_header"),
    ],
)
def test_messages_that_make_no_sense_are_buried(
    group: Group, topic: str, value: bytes, version: str, reason: str
) -> None:
    hook = group.hook()
    group.tell(topic, value, schema_version=version)
    group.tell(topics.ALARMS, alarm(1))
    assert [poison.reason for poison in group.buried] == [reason]
    assert group.owed(hook) == ["alarm-1"]


def test_a_newer_schema_is_read_as_far_as_it_is_known(group: Group) -> None:
    hook = group.hook()
    group.tell(topics.ALARMS, alarm(1)[:-1] + b',"invented":1}', schema_version="99")
    assert group.owed(hook) == ["alarm-1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://ops.example/",
        "ftp://ops.example/",
        "https://",
        "https://a:b@ops.example/",
        "https://ops.example/#part",
        "https://ops.example/a b",
        "https://ops.example:99999/",
        "/hook",
    ],
)
def test_urls_that_will_not_do_are_refused_with_all_other_faults(pool: Pool, url: str) -> None:
    with pool.connection() as conn, pytest.raises(FaultyInputError) as refused:
        webhooks.create(conn, "ann", url, ["budget.weekly"], None)
    assert [fault.field for fault in refused.value.faults] == ["--url", "--event"]


def test_an_operator_makes_pauses_and_deletes_webhooks(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())

    def run(line: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["webhook", *line.split()])
        assert result.exit_code == code, result.output
        return result.stdout

    run(f"create --url {URL} --dry-run")
    assert json.loads(run("list -o json")) == []
    made = json.loads(run(f"create --url {URL} --event budget.daily -o json"))
    assert made["secret"].startswith("whsec_")
    assert "whsec" not in run("list -o json") + run(f"show {made['id']} -o json")
    run("test 2")
    run("deliveries 2")
    run("pause 2")
    run("pause 2", 6)
    run("test 2", 6)
    run("resume 2")
    run("retry 2 --yes")
    run("retry 2 99 --yes", 5)
    run("delete 2", 6)
    run("delete 2 --yes")
    run("show 2", 5)
    run("create --url http://ops.example/", 3)


def test_a_change_and_an_alarm_reach_a_receiver_through_the_daemon(
    house: House,
    kafka: KafkaSettings,
    pool: Pool,
    start_daemon: Callable[..., DaemonProcess],
) -> None:
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    with receiving() as receiver:
        with pool.connection() as conn:
            webhooks.create(conn, "ann", receiver.url, [], None)
        start_daemon(
            "consumer",
            ADCTL_KAFKA_TOPIC_PREFIX=kafka.topic_prefix,
            ADCTL_CONSUMER_GROUPS='["notify"]',
            ADCTL_WEBHOOKS_NETWORKS='["127.0.0.0/8"]',
        )
        producer.send(
            [
                OutgoingMessage(topics.CAMPAIGNS, b"7", change(1)),
                OutgoingMessage(topics.CAMPAIGNS, b"7", b"{"),
                OutgoingMessage(topics.ALARMS, b"7", alarm(1)),
            ]
        )
        producer.close()
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while len(receiver.received) < 2:
            assert datetime.now(UTC) < deadline, receiver.received
            time.sleep(0.05)
        assert sorted(receiver.ids) == ["alarm-1", "campaign-7-1"]
