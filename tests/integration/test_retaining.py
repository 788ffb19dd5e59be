"""Days of events are dropped by policy; what is built of them stays, and nothing counts twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.flushing import Flusher
from adctl.control.rebuilding import RollupRebuilder
from adctl.control.retaining import Policy, Retention, table_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.models import Event
    from adctl.stores.stream import EventStream

    Pool = ConnectionPool[psycopg.Connection]

NOW = datetime.now(UTC)
DAY_SEC = 86_400


def days_ago(days: int) -> date:
    return (NOW - timedelta(days=days)).date()


class Archive:
    def __init__(self, pool: Pool, stream: EventStream, postgres: psycopg.Connection) -> None:
        self.flusher = Flusher(pool, stream)
        self.retention = Retention(pool, [self.flusher], Policy(40, DAY_SEC * 31))
        self.rollups = RollupRebuilder(pool, stream.key)
        self.postgres = postgres

    def rows(self, query: str) -> list[tuple[object, ...]]:
        found = self.postgres.execute(query).fetchall()
        self.postgres.commit()
        return found


@pytest.fixture
def archive(pool: Pool, stream: EventStream, postgres: psycopg.Connection) -> Archive:
    archive = Archive(pool, stream, postgres)
    # Other tests have left days of their own, which would be dropped too.
    for day in archive.retention.days(NOW):
        postgres.execute(f"DROP TABLE event_{day.day:%Y%m%d}")
    postgres.commit()
    return archive


@pytest.fixture
def aged(make_event: Callable[..., Event]) -> Callable[..., Event]:
    def make(event_id: str, days: int, **changes: object) -> Event:
        at = NOW - timedelta(days=days)
        event = make_event(event_id, event_date=at.date().isoformat())
        at_ms = int(at.timestamp() * 1000)
        return msgspec.structs.replace(event, occurred_at_ms=at_ms, **changes)

    return make


def arrive(archive: Archive, append: Callable[..., None], *events: Event) -> None:
    append(*events)
    archive.flusher.drain(100)
    archive.postgres.execute(
        "INSERT INTO stream_position SELECT stream, 'kafka:x', last_id FROM stream_position "
        "ON CONFLICT (stream, reader) DO UPDATE SET last_id = excluded.last_id"
    )
    archive.postgres.commit()


def test_days_beyond_the_policy_are_dropped_and_reports_of_them_stay(
    archive: Archive, append: Callable[..., None], aged: Callable[..., Event]
) -> None:
    arrive(archive, append, aged("old", 60), aged("kept", 3))
    archive.rollups.rebuild()
    counted = "SELECT hour, impressions FROM rollup_delivery ORDER BY hour"
    before = archive.rows(counted)
    assert [day.day for day in archive.retention.days(NOW) if day.drop] == [days_ago(60)]
    assert [day.day for day in archive.retention.prune(NOW, "me")] == [days_ago(60)]
    assert archive.rows("SELECT event_id FROM event") == [("kept",)]
    dropped = archive.rows("SELECT day, actor, events, cost_nanos FROM dropped_day")
    assert dropped == [(days_ago(60), "me", 1, 2_500_000)]
    assert archive.rows("SELECT count(*) FROM ledger_entry") == [(4,)]
    archive.rollups.rebuild()
    assert archive.rows(counted) == before
    assert archive.retention.prune(NOW, "me") == []


def test_repeat_of_an_event_of_a_dropped_day_is_refused(
    archive: Archive, append: Callable[..., None], aged: Callable[..., Event]
) -> None:
    arrive(archive, append, aged("old", 60))
    archive.retention.prune(NOW, "me")
    append(aged("old", 60), aged("older", 61), aged("new", 0))
    batch = archive.flusher.drain(100)
    assert (batch.stored, batch.rejected) == (1, 2)
    assert archive.rows("SELECT count(*), sum(amount_nanos) FROM ledger_entry") == [(4, 0)]
    [(reason,), _] = archive.rows("SELECT reason FROM rejected_event")
    assert "no partition" in str(reason)


def test_a_day_is_kept_while_a_rejected_event_of_its_waits(
    archive: Archive, append: Callable[..., None], aged: Callable[..., Event]
) -> None:
    arrive(archive, append, aged("old", 60), aged("older", 61), aged("broken", 60, bid_id="\0"))
    assert [day.day for day in archive.retention.prune(NOW, "me")] == [days_ago(61)]
    archive.postgres.execute("DELETE FROM rejected_event")
    archive.postgres.commit()
    assert [day.day for day in archive.retention.prune(NOW, "me")] == [days_ago(60)]


def test_nothing_is_dropped_while_events_are_on_their_way(
    archive: Archive,
    append: Callable[..., None],
    aged: Callable[..., Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrive(archive, append, aged("old", 60))
    append(aged("waiting", 60))
    monkeypatch.setattr("adctl.control.retaining._STALE_SEC", 0.0)
    assert archive.retention.prune(NOW, "me") == []
    assert archive.rows("SELECT count(*) FROM event") == [(1,)]


def test_nothing_is_dropped_while_kafka_misses_events_that_redis_has_forgotten(
    archive: Archive,
    append: Callable[..., None],
    aged: Callable[..., Event],
    redis_client: redis.Redis,
) -> None:
    arrive(archive, append, aged("old", 60))
    redis_client.flushdb()
    archive.rows("UPDATE relay_batch SET stored_at = now() - interval '2 hours' RETURNING 1")
    assert archive.retention.prune(NOW, "me") == []
    archive.rows("DELETE FROM relay_batch RETURNING 1")
    assert len(archive.retention.prune(NOW, "me")) == 1


def test_everything_is_kept_unless_a_policy_says_otherwise(
    archive: Archive, pool: Pool, append: Callable[..., None], aged: Callable[..., Event]
) -> None:
    arrive(archive, append, aged("old", 300))
    assert Retention(pool, [archive.flusher], Policy(0, DAY_SEC)).prune(NOW, "me") == []


def test_sizes_count_a_table_with_its_partitions(
    archive: Archive, pool: Pool, append: Callable[..., None], aged: Callable[..., Event]
) -> None:
    arrive(archive, append, aged("a", 1), aged("b", 2))
    sizes = {size.table: size for size in table_sizes(pool)}
    assert sizes["event"].partitions >= 2
    assert sizes["event"].bytes > sizes["event"].index_bytes > 0
    assert not any(name.startswith("event_2") for name in sizes)
