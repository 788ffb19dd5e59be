"""``adctl budget reconcile`` on real stores: every way they fall apart, and back together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control.relaying import Relay
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.stores.endpoints import Endpoints
    from adctl.stores.stream import EventStream
    from tests.integration.house import House

COUNTED_TWICE = (
    "Redis counted what no event tells of: a repeat after it forgot the first, or lost events"
)


class Desk:
    """The command, and the way events take to Kafka."""

    def __init__(
        self, endpoints: Endpoints, settings: Settings, relay: Relay, house: House
    ) -> None:
        self._house, self._relay = house, relay
        self._env = {
            "ADCTL_STATE_DIR": str(settings.state_dir),
            "ADCTL_POSTGRES_URL": endpoints.postgres_url,
            "ADCTL_REDIS_URL": endpoints.redis_url,
            "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
            "ADCTL_KAFKA_TOPIC_PREFIX": settings.kafka.topic_prefix,
            "ADCTL_ACTOR": "ann",
        }

    def deliver(self) -> None:
        """Bring every event to PostgreSQL and to Kafka, and forget it in the stream."""
        self._house.flusher.drain(100)
        self._relay.drain(100)
        self._house.flusher.trim()

    def run(self, *options: str) -> Result:
        line = ["budget", "reconcile", *options]
        return CliRunner().invoke(app, line, env=self._env, prog_name="adctl")

    def differences(self) -> list[dict[str, str]]:
        shown = self.run("--output", "json")
        assert shown.exit_code == 1, shown.output
        found: list[dict[str, str]] = json.loads(shown.stdout)
        return found

    def repair(self) -> None:
        repaired = self.run("--repair", "--yes")
        assert repaired.exit_code == 0, repaired.output
        agreed = self.run()
        assert agreed.exit_code == 0, agreed.output


@pytest.fixture
def desk(
    endpoints: Endpoints,
    settings: Settings,
    kafka: KafkaSettings,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    house: House,
) -> Iterator[Desk]:
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    relay = Relay(pool, stream, producer, KafkaAdmin(kafka.bootstrap, kafka))
    own = settings.model_copy(update={"kafka": kafka})
    yield Desk(endpoints, own, relay, house)
    producer.close()


def forget_events(postgres: psycopg.Connection, *, position: str | None = None) -> None:
    """Put PostgreSQL's events and ledger back to where they were before anything happened."""
    with postgres.transaction():
        postgres.execute("SET LOCAL session_replication_role = replica")
        postgres.execute("TRUNCATE event, ledger_entry")
        postgres.execute("DELETE FROM ledger_balance")
        if position:
            postgres.execute("UPDATE stream_position SET last_id = %s", [position])


def ledger(postgres: psycopg.Connection) -> int:
    with postgres.transaction():
        [(nanos,)] = postgres.execute(
            "SELECT coalesce(sum(amount_nanos), 0)::bigint FROM ledger_entry "
            "WHERE account = 'campaign'"
        ).fetchall()
    return int(nanos)


def test_stores_that_agree_are_said_to(desk: Desk, house: House) -> None:
    house.show(house.bid())
    desk.deliver()
    house.show(house.bid())
    agreed = desk.run()
    assert agreed.exit_code == 0, agreed.output
    assert "agree" in agreed.output


def test_events_that_only_kafka_has_are_stored_and_booked_again(
    desk: Desk, house: House, postgres: psycopg.Connection
) -> None:
    house.show(house.bid())
    desk.deliver()
    forget_events(postgres)
    assert {row["cause"] for row in desk.differences()} == {
        "PostgreSQL has lost events that Kafka has",
        COUNTED_TWICE,
    }
    before = house.money
    desk.repair()
    assert ledger(postgres) == 1_500_000
    assert house.money == before


def test_postgres_restored_to_the_past_catches_up_from_kafka(
    desk: Desk, house: House, postgres: psycopg.Connection
) -> None:
    house.show(house.bid())
    desk.deliver()
    house.show(house.bid())
    forget_events(postgres, position="0-0")
    assert "PostgreSQL was restored to the past" in {row["cause"] for row in desk.differences()}
    desk.repair()
    desk.deliver()
    assert ledger(postgres) == 3_000_000
    assert desk.run().exit_code == 0


def test_what_kafka_brings_back_is_not_sent_to_it_again(
    desk: Desk, house: House, postgres: psycopg.Connection
) -> None:
    house.show(house.bid())
    desk.deliver()
    forget_events(postgres)
    desk.repair()
    assert postgres.execute("SELECT count(*) FROM event").fetchall() == [(1,)]
    assert postgres.execute("SELECT count(*) FROM relay_batch").fetchall() == [(0,)]


def test_stores_agree_while_redis_has_forgotten_what_kafka_still_misses(
    desk: Desk, house: House
) -> None:
    house.show(house.bid())
    house.flusher.drain(100)
    house.redis.delete(keys.events(SHARD))
    agreed = desk.run()
    assert agreed.exit_code == 0, agreed.output


@pytest.mark.parametrize(
    ("field", "by", "cause"),
    [
        ("spent", -500_000, "Redis has lost spend: it was restored to the past"),
        (
            "spent",
            500_000,
            COUNTED_TWICE,
        ),
        ("reserved", 5, "the money state in Redis is damaged"),
        ("budget", 7, "a change of the budget has not reached Redis"),
    ],
)
def test_money_that_differs_in_redis_is_explained_and_made_anew(
    desk: Desk, house: House, field: str, by: int, cause: str
) -> None:
    house.bid()
    house.show(house.bid())
    before = house.money
    house.redis.hincrby(house.key, field, by)
    assert cause in {row["cause"] for row in desk.differences()}
    desk.repair()
    assert house.money == before


def test_money_state_that_is_gone_is_made_anew(desk: Desk, house: House) -> None:
    house.show(house.bid())
    before = house.money
    house.redis.delete(house.key)
    assert {row["cause"] for row in desk.differences()} == {"Redis has no money state"}
    desk.repair()
    assert house.money == before


def test_comparing_changes_nothing(desk: Desk, house: House, postgres: psycopg.Connection) -> None:
    house.show(house.bid())
    desk.deliver()
    house.redis.hincrby(house.key, "spent", 5)
    before = house.money
    desk.differences()
    assert house.money == before


def test_every_repair_is_in_the_history_with_its_actor(
    desk: Desk, house: House, postgres: psycopg.Connection
) -> None:
    house.redis.hincrby(house.key, "spent", 5)
    desk.repair()
    with postgres.transaction():
        query = "SELECT actor, before->>'spent', after->>'spent' FROM audit WHERE action = %s"
        rows = postgres.execute(query, ["reconcile"]).fetchall()
    assert rows == [("ann", "5", "0")]


def test_repair_asks_first(desk: Desk, house: House) -> None:
    house.redis.hincrby(house.key, "spent", 5)
    assert desk.run("--repair").exit_code == 6
    assert not house.money.adds_up
