"""Work that goes by itself is bounded by what changed: counted in commands, bytes and rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control import publishing
from adctl.control.erasing import Forgetting
from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.proving import Prover
from adctl.control.publishing import Making, make_all, read_documents, relay_outbox, sync_all
from adctl.control.steering import Pacer
from adctl.errors import StoreUnavailableError
from adctl.models import CampaignChange
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.events import EventStore
from adctl.stores.steering import SteeringStore
from adctl.stores.stream import EventStream
from adctl.stores.tables import open_engine
from tests.bench.year import make_campaigns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.models import Event
    from adctl.streams.producer import OutgoingMessage

    Relay = Callable[[Callable[[Sequence[OutgoingMessage]], None]], int]

CAMPAIGNS = 450
MANY = 3_000
# What a command may ask for, and be answered, on a catalog of MANY: pieces of it.
_REQUEST_BYTES, _REPLY_BYTES = 64_000, 256_000
NOW = datetime.now(UTC)


@pytest.fixture
def plane(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[ControlPlane]:
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    yield ControlPlane(engine, CatalogStore(redis_client), Budgets(redis_client))
    engine.dispose()


@pytest.fixture
def relay(
    plane: ControlPlane,
    pool: ConnectionPool[psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> Relay:
    """Relay all that waits in one go, however slow the machine is."""
    monkeypatch.setattr(publishing, "_RELAYING_SEC", 60.0)
    return lambda produce: relay_outbox(pool, plane.catalog, plane.budgets, produce)


@pytest.fixture
def waiting(postgres: psycopg.Connection) -> int:
    """Campaigns that were changed while nobody relayed."""
    make_campaigns(postgres, CAMPAIGNS)
    for number in range(1, CAMPAIGNS + 1):
        [document] = read_documents(postgres, [number], NOW)
        change = CampaignChange(number, 1, "create", NOW, "ann", True, document.campaign)
        postgres.execute(
            "INSERT INTO outbox (campaign_id, message) VALUES (%s, %s::jsonb)",
            [number, msgspec.json.encode(change).decode()],
        )
    postgres.commit()
    return CAMPAIGNS


def published(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))


def relay_all(relay: Relay, sent: list[bytes]) -> None:
    while relay(lambda messages: sent.extend(message.key for message in messages)):
        pass


def test_each_change_is_written_to_redis_once_however_many_wait(
    waiting: int, relay: Relay, redis_client: redis.Redis
) -> None:
    sent: list[bytes] = []
    before = published(redis_client)
    relay_all(relay, sent)
    assert published(redis_client) - before == waiting
    assert sent == [str(number).encode() for number in range(1, waiting + 1)]


def test_changes_that_wait_for_kafka_are_not_written_to_redis_again(
    waiting: int, relay: Relay, redis_client: redis.Redis
) -> None:
    def refuse(_messages: object) -> None:
        raise StoreUnavailableError("Kafka: not there")

    before = published(redis_client)
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            relay(refuse)
    assert published(redis_client) - before == waiting
    assert redis_client.scard(keys.ACTIVE) == waiting


def test_a_relay_that_is_cut_short_goes_on_and_sends_nothing_twice_that_was_confirmed(
    waiting: int, relay: Relay, redis_client: redis.Redis
) -> None:
    sent: list[bytes] = []

    def cut_short(messages: Sequence[OutgoingMessage]) -> None:
        if len(sent) >= 200:
            raise KeyboardInterrupt
        sent.extend(message.key for message in messages)

    with pytest.raises(KeyboardInterrupt):
        relay(cut_short)
    assert len(sent) == 200
    before = published(redis_client)
    relay_all(relay, sent)
    assert sent == [str(number).encode() for number in range(1, waiting + 1)]
    assert published(redis_client) == before


def test_a_change_that_comes_while_older_ones_wait_for_kafka_reaches_bidders(
    waiting: int, relay: Relay, postgres: psycopg.Connection, plane: ControlPlane
) -> None:
    def refuse(_messages: object) -> None:
        raise StoreUnavailableError("Kafka: not there")

    with pytest.raises(StoreUnavailableError):
        relay(refuse)
    postgres.execute("UPDATE campaign SET status = 'paused' WHERE id = 7")
    postgres.execute(
        "INSERT INTO outbox (campaign_id, message) SELECT campaign_id, message FROM outbox "
        "WHERE campaign_id = 7"
    )
    postgres.commit()
    with pytest.raises(StoreUnavailableError):
        relay(refuse)
    assert plane.catalog.read([6, 7]).keys() == {6}


@pytest.fixture
def large(
    plane: ControlPlane,
    postgres: psycopg.Connection,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
) -> Iterator[redis.Redis]:
    """A Valkey with the money of MANY campaigns and bids of all, which notes large commands."""
    make_campaigns(postgres, MANY)
    postgres.commit()
    sync_all(pool, plane.catalog, plane.budgets)
    for bucket in (100, 101):
        pipeline = redis_client.pipeline(transaction=False)
        for number in range(1, MANY + 1):
            budget = keys.budget(SHARD, number)
            pipeline.hincrby(keys.reservations(SHARD, bucket), str(number), 5)
            for field, nanos in (("available", -5), ("day_available", -5), ("reserved", 5)):
                pipeline.hincrby(budget, field, nanos)
        pipeline.sadd(keys.buckets(SHARD), bucket)
        pipeline.execute()
    for kind, most in (("request", _REQUEST_BYTES), ("reply", _REPLY_BYTES)):
        redis_client.config_set(f"commandlog-{kind}-larger-than", most)
        redis_client.execute_command("COMMANDLOG", "RESET", f"large-{kind}")
    yield redis_client
    for kind in ("request", "reply"):
        redis_client.config_set(f"commandlog-{kind}-larger-than", -1)


def large_commands(client: redis.Redis) -> list[str]:
    return [
        f"{entry[3][0]} {entry[3][1]}"
        for kind in ("large-request", "large-reply")
        for entry in client.execute_command("COMMANDLOG", "GET", "-1", kind)
    ]


def test_no_command_to_redis_asks_for_all_campaigns(
    large: redis.Redis, plane: ControlPlane, pool: ConnectionPool[psycopg.Connection]
) -> None:
    steering, budgets = SteeringStore(large), plane.budgets
    pacer = Pacer(plane.catalog, budgets, steering)
    assert pacer.steer(NOW) == MANY
    assert pacer.steer(NOW) == MANY
    pacer.roll_days(NOW)
    assert not pacer.needs_sync()
    assert Prover(pool, large).prove().breaches == ()
    assert budgets.expire(101) == 1
    assert Prover(pool, large).prove().breaches == ()
    assert budgets.retire(10_000) == 1
    assert Prover(pool, large).prove().breaches == ()
    with pool.connection() as conn, conn.transaction():
        assert make_all(conn, plane.catalog, budgets, Making(anew=True)) == MANY
    assert len(steering.read(range(1, MANY + 1))) == MANY
    assert len(budgets.read(range(1, MANY + 1))) == MANY
    assert large_commands(large) == []


def test_the_rest_of_a_bucket_is_given_back_when_an_expiry_was_cut_short(
    large: redis.Redis, plane: ControlPlane
) -> None:
    for field in ("1", "2", "3"):
        large.hdel(keys.reservations(SHARD, 100), field)
    large.hset(keys.reservations(SHARD, 101), "4", "7")
    assert plane.budgets.expire(102) == 2
    assert large.scard(keys.buckets(SHARD)) == 0
    assert not large.exists(keys.reservations(SHARD, 100), keys.reservations(SHARD, 101))
    states = plane.budgets.read([3, 4, 5])
    assert [states[number].exposed for number in (3, 4, 5)] == [5, 12, 10]
    assert states[5].reserved == 0
    assert states[5].adds_up


def test_money_made_of_many_campaigns_reads_the_stream_once(
    plane: ControlPlane,
    postgres: psycopg.Connection,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    make_event: Callable[..., Event],
    append: Callable[..., None],
) -> None:
    make_campaigns(postgres, CAMPAIGNS)
    postgres.commit()
    append(*(make_event(f"f{n}", campaign_id=n, cost_nanos=1_000) for n in range(1, 11)))
    Flusher(pool, EventStream(redis_client)).drain(100)
    append(*(make_event(f"u{n}", campaign_id=n, cost_nanos=200) for n in range(6, 16)))
    append(make_event("late", campaign_id=7, cost_nanos=30), late="1")
    redis_client.config_resetstat()
    sync_all(pool, plane.catalog, plane.budgets)
    states = plane.budgets.read(range(1, 17))
    assert [states[n].spent for n in (5, 6, 7, 15, 16)] == [1_000, 1_200, 1_230, 200, 0]
    assert states[7].late == 30
    assert all(state.adds_up for state in states.values())
    # One for what the ledger lacks; after that each script looks for what came meanwhile.
    entries = redis_client.info("commandstats")["cmdstat_xrange"]["calls"]
    assert entries <= CAMPAIGNS + 10


@pytest.fixture
def days(postgres: psycopg.Connection) -> Iterator[list[date]]:
    """Thirty days that have events, and are gone afterwards."""
    today = NOW.date()
    found = [today - timedelta(days=ago) for ago in range(40, 70)]
    EventStore().make_partitions(postgres, found)
    for day in found:
        postgres.execute(
            """INSERT INTO event (event_date, event_id, kind, occurred_at, bid_id, campaign_id,
                   creative_id, exchange, price_cpm_micros, cost_nanos, unpriced, late, test,
                   loss_reason, user_hash, stream_id)
               SELECT %(day)s, %(day)s || '-' || n, 'impression', %(day)s::timestamptz, n, 1, 1,
                      'default', 1, 5, false, false, false, 0, md5((n %% 100)::text), '1-' || n
               FROM generate_series(1, 300) AS n""",
            {"day": day},
        )
    postgres.commit()
    postgres.execute("ANALYZE event")
    postgres.commit()
    yield found
    for day in found:
        postgres.execute(f"DROP TABLE event_{day:%Y%m%d}")
    postgres.commit()


def read_tables(postgres: psycopg.Connection) -> dict[str, int]:
    postgres.execute("SELECT pg_stat_clear_snapshot()")
    rows = postgres.execute(
        """SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
           FROM pg_stat_xact_user_tables WHERE relname LIKE 'event\\_2%%'"""
    )
    return {name: read for name, read in rows if read}


def test_a_repeated_event_is_looked_up_in_its_own_day_alone(
    days: list[date],
    postgres: psycopg.Connection,
    make_event: Callable[..., Event],
) -> None:
    wanted = [make_event(f"{days[3]}-{n}", event_date=days[3].isoformat()) for n in range(1, 50)]
    assert len(EventStore().stored_ids(postgres, wanted)) == 49
    postgres.execute("CREATE TEMP TABLE incoming_event (LIKE event) ON COMMIT DROP")
    postgres.execute(
        "INSERT INTO incoming_event SELECT * FROM event WHERE event_date = %s LIMIT 50", [days[3]]
    )
    before = read_tables(postgres)
    EventStore()._queries.note_recounted(postgres)
    read = read_tables(postgres)
    postgres.rollback()
    # What this session read in earlier transactions is in both.
    more = {name: count - before.get(name, 0) for name, count in read.items()}
    assert {name for name, count in more.items() if count} == {f"event_{days[3]:%Y%m%d}"}
    assert sum(more.values()) <= 50


def test_forgetting_a_user_reads_that_users_events_alone(
    days: list[date], postgres: psycopg.Connection
) -> None:
    user_hash = postgres.execute("SELECT md5('7')").fetchone()[0]
    postgres.execute("SET LOCAL enable_seqscan = off")  # small tables are as quickly read whole
    plan = postgres.execute(
        f"EXPLAIN UPDATE event SET user_hash = '' WHERE user_hash = '{user_hash}'"
    ).fetchall()
    postgres.rollback()
    found = [line for (line,) in plan if f"event_{days[0]:%Y%m%d}" in line and "Index" in line]
    assert any("user_hash" in line for line in found), found


def test_forgetting_does_not_hold_the_flusher_while_events_are_blanked(
    days: list[date],
    postgres: psycopg.Connection,
    pool: ConnectionPool[psycopg.Connection],
    redis_client: redis.Redis,
    tmp_path: Path,
    make_event: Callable[..., Event],
    append: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user_hash = postgres.execute("SELECT md5('7')").fetchone()[0]
    postgres.commit()
    flusher = Flusher(pool, EventStream(redis_client))
    stored: list[int] = []
    forgetting = Forgetting(pool, redis_client, [EventStream(redis_client)], tmp_path, lambda: None)
    erase = forgetting._erasures.erase

    def flush_meanwhile(conn: psycopg.Connection, user_hash: str) -> dict[str, int]:
        append(make_event("meanwhile", user_hash=user_hash))
        counts = erase(conn, user_hash)
        # Before what was blanked is committed; one that had to wait would wait for ever.
        stored.append(flusher.drain(100).stored)
        return counts

    monkeypatch.setattr(forgetting._erasures, "erase", flush_meanwhile)
    receipt = forgetting.forget([user_hash], "ann")
    assert stored == [1]
    assert receipt.events == 3 * len(days)
    query = "SELECT count(*) FROM event WHERE user_hash = %s"
    assert postgres.execute(query, [user_hash]).fetchone() == (0,)


def test_late_spend_is_kept_with_the_balance(postgres: psycopg.Connection) -> None:
    make_campaigns(postgres, 1)
    for number, late in enumerate((True, False, True)):
        postgres.execute(
            """INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos,
                   occurred_at, late)
               VALUES (%(n)s, 'campaign', 1, 5, now(), %(late)s),
                      (%(n)s, 'exchange', 1, -5, now(), %(late)s)""",
            {"n": f"t{number}", "late": late},
        )
    rows = postgres.execute(
        "SELECT amount_nanos, late_nanos FROM ledger_balance WHERE account = 'campaign'"
    ).fetchall()
    assert rows == [(15, 10)]
