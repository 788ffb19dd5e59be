from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from adctl.stores.migrations import migrate, pending

if TYPE_CHECKING:
    import redis

    from adctl.config import KafkaSettings
    from adctl.stores.endpoints import Endpoints


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_begins_with_empty_stores(
    turn: int, postgres: psycopg.Connection, redis_client: redis.Redis
) -> None:
    advertiser = postgres.execute("INSERT INTO advertiser (name) VALUES ('a') RETURNING id")
    assert advertiser.fetchone() == (1,)
    postgres.execute(
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        "VALUES ('t', 'campaign', 1, 5, now()), ('t', 'exchange', 1, -5, now())"
    )
    postgres.commit()
    assert redis_client.incr("adctl:test") == 1


def test_kafka_topics_of_tests_do_not_meet(kafka: KafkaSettings) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topics = admin.list_topics(timeout=5).topics
    assert not [name for name in topics if name.startswith(kafka.topic_prefix)]


def test_the_ledger_is_append_only(postgres: psycopg.Connection) -> None:
    for statement in ("TRUNCATE ledger_entry", "DELETE FROM ledger_entry"):
        with pytest.raises(psycopg.errors.RaiseException), postgres.transaction():
            postgres.execute(statement)


def test_migrating_twice_changes_nothing(endpoints: Endpoints) -> None:
    assert pending(endpoints.postgres_url) == []
    assert migrate(endpoints.postgres_url) == []


def test_a_fresh_database_has_everything_pending(
    endpoints: Endpoints, postgres: psycopg.Connection
) -> None:
    postgres.autocommit = True
    name = f"fresh_{uuid.uuid4().hex}"
    postgres.execute(f"CREATE DATABASE {name}")
    url = endpoints.postgres_url.removesuffix("/adctl") + f"/{name}"
    try:
        before = pending(url)
        assert before[0] == "0001_control_plane"
        assert migrate(url) == before
        assert pending(url) == []
    finally:
        postgres.execute(f"DROP DATABASE {name}")
