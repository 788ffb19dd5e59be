from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.flushing import FlushedBatch, Flusher
from adctl.errors import LedgerBehindError
from adctl.models import EventKind
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.stores.stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.models import Event

    MakeEvent = Callable[..., Event]
    Append = Callable[..., None]

STREAM = keys.events(SHARD)
NOW = datetime.now(UTC)


@pytest.fixture
def flusher(pool: ConnectionPool[psycopg.Connection], stream: EventStream) -> Flusher:
    return Flusher(pool, stream)


def rows(postgres: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    found = postgres.execute(query).fetchall()
    postgres.commit()
    return found


def test_events_are_stored_with_two_ledger_entries_each(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a"), make_event("b", cost_nanos=0, kind=EventKind.CLICK))
    assert flusher.flush_once(100) == FlushedBatch(2, 2, 0, 2_500_000)
    assert rows(postgres, "SELECT event_id, kind FROM event ORDER BY 1") == [
        ("a", "impression"),
        ("b", "click"),
    ]
    entries = "SELECT transaction, account, amount_nanos FROM ledger_entry ORDER BY 2"
    assert rows(postgres, entries) == [("a", "campaign", 2_500_000), ("a", "exchange", -2_500_000)]


def test_the_moment_is_stored_to_the_millisecond(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a", occurred_at_ms=1_793_491_200_123))
    flusher.flush_once(100)
    ((occurred_at,),) = rows(postgres, "SELECT occurred_at FROM event")
    assert occurred_at == datetime(2026, 11, 1, 0, 0, 0, 123_000, tzinfo=UTC)


def test_what_was_told_of_the_auction_is_stored_and_what_was_not_is_null(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    shown_at_ms = 1_793_491_200_123
    told = {"min_to_win_micros": 0, "market_bid_ratio_ppm": 812_500, "shown_at_ms": shown_at_ms}
    append(make_event("a", **told), make_event("b"))
    flusher.flush_once(100)
    columns = "min_to_win_micros, market_bid_ratio_ppm, shown_at"
    shown_at = datetime(2026, 11, 1, 0, 0, 0, 123_000, tzinfo=UTC)
    assert rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id") == [
        (0, 812_500, shown_at),
        (None, None, None),
    ]


def test_the_script_has_the_last_word_on_lateness(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a"), late="1")
    append(make_event("b", late=True), late="0")
    flusher.flush_once(100)
    late = rows(postgres, "SELECT event_id, late FROM event ORDER BY 1")
    assert late == [("a", True), ("b", False)]


def test_test_events_never_cost(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a", test=True))
    assert flusher.flush_once(100).booked_nanos == 0
    assert rows(postgres, "SELECT test, cost_nanos FROM event") == [(True, 0)]
    assert rows(postgres, "SELECT * FROM ledger_entry") == []


def test_a_repeat_in_the_same_batch_is_booked_once(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a"), make_event("a"))
    batch = flusher.flush_once(100)
    assert (batch.stored, batch.duplicates, batch.booked_nanos) == (1, 1, 2_500_000)
    assert rows(postgres, "SELECT count(*) FROM ledger_entry") == [(2,)]


def test_a_repeat_in_a_later_batch_is_booked_once(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a"), make_event("a"))
    assert flusher.flush_once(1).stored == 1
    assert flusher.flush_once(1).duplicates == 1
    assert rows(postgres, "SELECT count(*) FROM ledger_entry") == [(2,)]


def test_a_crash_before_the_trim_loses_and_doubles_nothing(
    flusher: Flusher,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    make_event: MakeEvent,
    append: Append,
) -> None:
    append(make_event("a"), make_event("b"))
    flusher.flush_once(100)
    assert redis_client.xlen(STREAM) == 2
    assert flusher.flush_once(100) == FlushedBatch()
    assert rows(postgres, "SELECT count(*) FROM event") == [(2,)]


def test_postgres_that_was_restored_to_the_past_is_not_written_on(
    flusher: Flusher,
    stream: EventStream,
    postgres: psycopg.Connection,
    make_event: MakeEvent,
    append: Append,
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    stream.trim(stream.last_id())
    append(make_event("b"))
    postgres.execute("UPDATE stream_position SET last_id = '0-0'")
    postgres.commit()
    with pytest.raises(LedgerBehindError, match="reconcile --repair"):
        flusher.flush_once(100)


def test_a_crash_before_the_commit_leaves_nothing_behind(
    flusher: Flusher,
    postgres: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    make_event: MakeEvent,
    append: Append,
) -> None:
    append(make_event("a"))

    def crash(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(flusher._positions, "advance", crash)
        with pytest.raises(KeyboardInterrupt):
            flusher.flush_once(100)
    assert rows(postgres, "SELECT count(*) FROM event") == [(0,)]
    assert flusher.flush_once(100).stored == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"e": b"{"}, "truncated"),
        ({"e": b"\xff\xfe", "late": b"0"}, "malformed"),
        ({"x": b"1"}, "no field e"),
        ({"e": b'{"kind":"impression"}'}, "missing required field"),
    ],
)
def test_an_entry_that_is_no_event_is_put_aside(
    fields: dict[str, bytes],
    reason: str,
    flusher: Flusher,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
) -> None:
    redis_client.xadd(STREAM, fields)
    assert flusher.flush_once(100) == FlushedBatch(1, 0, 1, 0)
    ((told, raw),) = rows(postgres, "SELECT reason, raw FROM rejected_event")
    assert reason in told
    assert raw == fields.get("e", repr({b"x": b"1"}).encode())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"campaign_id": 2**40}, "out of range"),
        ({"cost_nanos": -1}, "check constraint"),
        ({"bid_id": "\0"}, "NUL"),
        ({"event_date": "soon"}, "no date"),
        ({"event_date": "9999-12-31"}, "no partition"),
        ({"occurred_at_ms": 2**62}, "no date"),
    ],
)
def test_an_event_the_schema_refuses_is_put_aside_and_blocks_nobody(
    changes: dict[str, object],
    reason: str,
    flusher: Flusher,
    make_event: MakeEvent,
    append: Append,
    postgres: psycopg.Connection,
) -> None:
    append(make_event("before"), make_event("bad", **changes), make_event("after"))
    batch = flusher.flush_once(100)
    assert (batch.stored, batch.rejected, batch.booked_nanos) == (2, 1, 5_000_000)
    ((told,),) = rows(postgres, "SELECT reason FROM rejected_event")
    assert reason in told
    assert flusher.flush_once(100) == FlushedBatch()


def test_an_event_is_filed_under_the_date_of_its_bid(
    flusher: Flusher, postgres: psycopg.Connection, make_event: MakeEvent, append: Append
) -> None:
    day = (NOW - timedelta(days=3)).date()
    append(make_event("a", event_date=day.isoformat()))
    flusher.flush_once(100)
    assert rows(postgres, f"SELECT count(*) FROM event_{day:%Y%m%d}") == [(1,)]


def test_flushers_at_work_together_store_everything_once(
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    make_event: MakeEvent,
    append: Append,
) -> None:
    append(*(make_event(f"e{number}") for number in range(200)))
    stored: list[int] = []

    def drain() -> None:
        flusher = Flusher(pool, EventStream(redis_client))
        while (batch := flusher.flush_once(7)).read:
            stored.append(batch.stored)

    threads = [threading.Thread(target=drain) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(stored) == 200
    assert rows(postgres, "SELECT count(*), sum(cost_nanos) FROM event") == [(200, 500_000_000)]


def test_partitions_made_at_once_by_many_are_made_once(
    pool: ConnectionPool[psycopg.Connection], postgres: psycopg.Connection
) -> None:
    day = (NOW - timedelta(days=200)).date()
    failures: list[BaseException] = []

    def make() -> None:
        try:
            with pool.connection() as conn:
                conn.execute("SELECT event_partition(%s)", [day])
        except BaseException as exc:  # noqa: BLE001 - shown by the assertion
            failures.append(exc)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(postgres, f"SELECT count(*) FROM event_{day:%Y%m%d}") == [(0,)]


def test_a_stream_that_was_never_relayed_is_kept(
    flusher: Flusher, redis_client: redis.Redis, make_event: MakeEvent, append: Append
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    assert flusher.trim() == 0
    assert redis_client.xlen(STREAM) == 1


def test_the_status_tells_the_age_of_what_is_not_flushed(
    flusher: Flusher, redis_client: redis.Redis, make_event: MakeEvent
) -> None:
    assert flusher.status().unflushed_age_sec == 0
    old_ms = time.time_ns() // 1_000_000 - 60_000
    redis_client.xadd(STREAM, {"e": msgspec.json.encode(make_event("a"))}, id=f"{old_ms}-0")
    status = flusher.status()
    assert status.entries == 1
    assert 60 <= status.unflushed_age_sec < 120
    flusher.flush_once(100)
    assert flusher.status().unflushed_age_sec == 0


def test_a_stream_whose_clock_went_back_is_read_again(
    flusher: Flusher,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    make_event: MakeEvent,
    append: Append,
) -> None:
    append(make_event("a"))
    flusher.flush_once(100)
    redis_client.flushdb()
    hour_ago_ms = int(NOW.timestamp() * 1000) - 3_600_000
    for number in range(2):
        one = make_event(f"after-{number}")
        redis_client.xadd(STREAM, {"e": msgspec.json.encode(one)}, id=f"{hour_ago_ms}-{number}")
    assert flusher.flush_once(100).read == 0
    assert flusher.recover_stream() == 2
    assert flusher.recover_stream() == 0
    assert flusher.flush_once(100).stored == 2
    assert rows(postgres, "SELECT count(*) FROM event") == [(3,)]


def test_trackers_are_told_what_postgresql_has_and_again_after_redis_forgot_it(
    flusher: Flusher,
    append: Callable[..., None],
    make_event: Callable[..., Event],
    redis_client: redis.Redis,
) -> None:
    flusher.drain(10)
    assert not redis_client.exists(keys.flushed(SHARD))
    append(make_event("a"), make_event("b"), make_event("c"))
    last_id = redis_client.xinfo_stream(keys.events(SHARD))["last-generated-id"]
    flusher.flush_once(2)
    assert redis_client.get(keys.flushed(SHARD)) < last_id
    flusher.drain(10)
    assert redis_client.get(keys.flushed(SHARD)) == last_id
    redis_client.delete(keys.flushed(SHARD))
    flusher.flush_once(10)
    assert redis_client.get(keys.flushed(SHARD)) == last_id
