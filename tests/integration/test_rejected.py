"""Events that PostgreSQL refuses: nothing of them sits unseen, is lost, or is billed twice."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control.flushing import Flusher
from adctl.control.plane import ControlPlane
from adctl.control.proving import Prover
from adctl.control.publishing import mend_budgets
from adctl.control.rejected import Fate, RejectedDesk
from adctl.control.relaying import Relay
from adctl.delivery.place import Place
from adctl.errors import ConflictError
from adctl.models import Event, EventKind
from adctl.resources import SQL
from adctl.stores.catalog import CatalogStore
from adctl.stores.sharded_budgets import ShardedBudgets
from adctl.stores.stream import event_streams
from adctl.stores.tables import open_engine
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from adctl.streams.reader import TopicReader
from tests.integration.house import House
from tests.unit.misread import misread

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings, Settings
    from adctl.stores.endpoints import Endpoints
    from adctl.stores.stream import EventStream

    MakeEvent = Callable[..., Event]
    Pool = ConnectionPool[psycopg.Connection]

COST = 1_500_000
PLACE = Place("a.example", "DEU", "4")


@pytest.fixture
def desk(pool: Pool, redis_client: redis.Redis) -> RejectedDesk:
    return RejectedDesk(pool, redis_client, 1)


@pytest.fixture
def prover(pool: Pool, redis_client: redis.Redis) -> Prover:
    return Prover(pool, redis_client)


def in_foreign_currency(
    house: House, code: str = "EUR", rate: str = "1.1111"
) -> Callable[[Event], Event]:
    """Return what makes an event one whose place was read from the bytes of its currency."""
    advertiser_id = house.campaign.advertiser_id
    return lambda event: misread(event, code, rate, advertiser_id, PLACE)


def broken(house: House, kind: EventKind = EventKind.IMPRESSION) -> str:
    """Have an event told that PostgreSQL refuses, and flush; return its name."""
    house.tell(house.bid(), kind, in_foreign_currency(house))
    house.flusher.drain(100)
    return f"0/{house.redis.xrevrange('adctl:{s0}:events', count=1)[0][0]}"


def fates(desk: RejectedDesk, *names: str) -> list[Fate]:
    chosen = desk.choose(names) if names else desk.waiting()
    return [one.fate for some in desk.retry(chosen) for one in some]


def rows(postgres: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    found = postgres.execute(query).fetchall()
    postgres.commit()
    return found


def ledger(postgres: psycopg.Connection) -> int:
    query = "SELECT coalesce(sum(amount_nanos), 0) FROM ledger_entry WHERE account = 'campaign'"
    [(nanos,)] = rows(postgres, query)
    return int(nanos)  # type: ignore[call-overload]


def not_holding(prover: Prover) -> dict[str, str | int]:
    return {breach.invariant: breach.found for breach in prover.prove().breaches}


def run(endpoints: Endpoints, *line: str) -> Result:
    env = {
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    return CliRunner().invoke(app, ["rejected", *line], env=env, prog_name="adctl")


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize(
    ("code", "rate"), [("EUR", "1.1111"), ("JPY", "0.006667"), ("GBP", "1.250000000000000001")]
)
def test_an_event_in_a_foreign_currency_reaches_postgres_the_ledger_and_kafka(
    house: House,
    desk: RejectedDesk,
    prover: Prover,
    pool: Pool,
    stream: EventStream,
    postgres: psycopg.Connection,
    kafka: KafkaSettings,
    code: str,
    rate: str,
    kind: EventKind,
) -> None:
    house.tell(house.bid(), kind, in_foreign_currency(house, code, rate))
    assert house.flusher.drain(100).rejected == 1
    assert fates(desk) == [Fate.STORED]
    columns = "kind, advertiser_id, site, country, device"
    advertiser_id = house.campaign.advertiser_id
    assert rows(postgres, f"SELECT {columns} FROM event") == [(str(kind), advertiser_id, *_place())]
    assert ledger(postgres) == house.money.spent == (COST if kind is EventKind.IMPRESSION else 0)
    assert not_holding(prover) == {}
    [told] = relayed(pool, stream, kafka)
    assert (told.kind, told.advertiser_id, told.site) == (kind, advertiser_id, PLACE.site)


def _place() -> tuple[str, str, str]:
    return PLACE.site, PLACE.country, PLACE.device


def relayed(pool: Pool, stream: EventStream, kafka: KafkaSettings) -> list[Event]:
    """Return what Kafka has of the stream."""
    producer = ReliableProducer(kafka.bootstrap, kafka.topic_prefix)
    Relay(pool, stream, producer, KafkaAdmin(kafka.bootstrap, kafka)).drain(100)
    producer.close()
    names = set(topics.OF_EVENT.values())
    with TopicReader(kafka.bootstrap, sorted(names), kafka.topic_prefix) as reader:
        return [
            msgspec.json.decode(message.value, type=Event)
            for batch in reader.batches()
            for message in batch
        ]


def test_what_waits_is_spent_and_the_proof_says_that_it_waits(
    house: House, prover: Prover, postgres: psycopg.Connection
) -> None:
    broken(house)
    assert not_holding(prover) == {"nothing_rejected": COST}
    assert ledger(postgres) == 0


def test_events_that_cost_nothing_do_not_break_the_proof(house: House, prover: Prover) -> None:
    broken(house, EventKind.CLICK)
    assert not_holding(prover) == {}


def test_an_entry_whose_cost_cannot_be_known_breaks_the_proof(
    house: House, prover: Prover, redis_client: redis.Redis, stream: EventStream
) -> None:
    redis_client.xadd(stream.key, {"e": b"{", "late": "0", "odd": "taken"})
    house.flusher.drain(100)
    assert not_holding(prover) == {"nothing_rejected": "1 of unknown cost"}


def test_money_that_waits_for_no_campaign_breaks_the_proof(
    prover: Prover, house: House, make_event: MakeEvent, append: Callable[..., None]
) -> None:
    append(make_event("a", campaign_id=2**40, cost_nanos=5), make_event("b", campaign_id=None))
    house.flusher.drain(100)
    assert not_holding(prover) == {"nothing_rejected": 2_500_005}


def make_anew(pool: Pool, house: House) -> None:
    with pool.connection() as conn:
        mend_budgets(conn, house.budgets, [house.campaign_id], datetime.now(UTC))


def test_money_of_what_waits_is_never_handed_back(
    house: House, prover: Prover, pool: Pool, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    broken(house)
    before = house.money
    house.redis.delete(house.key)
    make_anew(pool, house)
    assert house.money == before
    assert fates(desk) == [Fate.STORED]
    make_anew(pool, house)
    assert house.money == before
    assert ledger(postgres) == before.spent == COST
    assert not_holding(prover) == {}


def test_what_was_billed_late_is_late_when_the_money_is_made_anew(
    house: House, pool: Pool, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    bid = house.bid()
    house.budgets.expire(bid.bucket + 2)
    assert house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house)) == "late"
    house.flusher.drain(100)
    make_anew(pool, house)
    assert house.money.late == COST
    assert fates(desk) == [Fate.STORED]
    assert rows(postgres, "SELECT late, odd FROM event") == [(True, "late")]
    make_anew(pool, house)
    assert house.money.late == COST


def test_an_entry_on_its_way_back_is_counted_once(
    house: House,
    prover: Prover,
    pool: Pool,
    stream: EventStream,
    desk: RejectedDesk,
    monkeypatch: pytest.MonkeyPatch,
    postgres: psycopg.Connection,
) -> None:
    name = broken(house)
    killed_before_the_flush(desk, monkeypatch)
    assert stream.length() == 2
    assert not_holding(prover) == {"nothing_rejected": COST}
    make_anew(pool, house)
    assert house.money.spent == COST
    # What was put back goes its way without the one who put it there.
    house.flusher.drain(100)
    assert ledger(postgres) == house.money.spent == COST
    assert not_holding(prover) == {}
    assert name not in {str(entry.ref) for entry in desk.waiting()}


def killed_before_the_flush(desk: RejectedDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Flusher, "flush_once", kill)
        with pytest.raises(KeyboardInterrupt):
            fates(desk)


def test_who_is_killed_over_it_can_begin_again_and_nothing_is_billed_twice(
    house: House,
    prover: Prover,
    pool: Pool,
    desk: RejectedDesk,
    monkeypatch: pytest.MonkeyPatch,
    postgres: psycopg.Connection,
) -> None:
    broken(house)
    for _ in range(3):
        killed_before_the_flush(desk, monkeypatch)
    # The first of the four entries was stored, which is not the one that was asked about.
    assert fates(desk) == [Fate.DUPLICATE]
    assert rows(postgres, "SELECT count(*), sum(cost_nanos) FROM event") == [(1, COST)]
    assert ledger(postgres) == house.money.spent == COST
    assert not_holding(prover) == {}
    assert desk.waiting() == []


def test_a_redis_that_forgets_what_was_put_back_loses_nothing(
    house: House,
    desk: RejectedDesk,
    monkeypatch: pytest.MonkeyPatch,
    stream: EventStream,
    postgres: psycopg.Connection,
) -> None:
    broken(house)
    killed_before_the_flush(desk, monkeypatch)
    house.redis.delete(stream.key)
    assert fates(desk) == [Fate.STORED]
    assert ledger(postgres) == COST


def test_two_who_put_back_at_once_do_not_get_in_each_other_s_way(
    house: House, desk: RejectedDesk, pool: Pool, redis_client: redis.Redis
) -> None:
    names = [broken(house) for _ in range(2)]
    other = RejectedDesk(pool, redis_client, 1)
    work = desk.retry(desk.choose(names))
    next(work)
    with pytest.raises(ConflictError, match="somebody else"):
        list(other.retry(other.waiting()))
    work.close()
    assert fates(other) == []


def test_an_event_that_was_stored_meanwhile_is_a_duplicate(
    house: House, prover: Prover, desk: RejectedDesk, postgres: psycopg.Connection, pool: Pool
) -> None:
    bid = house.bid()
    house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
    house.flusher.drain(100)
    house.redis.delete(*house.redis.keys("adctl:{s0}:seen:*"))
    house.show(bid)
    house.flusher.drain(100)
    assert fates(desk) == [Fate.DUPLICATE]
    assert ledger(postgres) == COST
    # Redis has counted it twice, and what comes of that is known.
    assert rows(postgres, "SELECT campaign_id FROM recounted_campaign") == [(house.campaign_id,)]
    make_anew(pool, house)
    assert not_holding(prover) == {}


def test_an_event_that_is_refused_again_waits_once(
    house: House, prover: Prover, pool: Pool, postgres: psycopg.Connection
) -> None:
    bid = house.bid()
    for _ in range(2):
        house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
        house.flusher.drain(100)
        house.redis.delete(*house.redis.keys("adctl:{s0}:seen:*"))
    assert rows(postgres, "SELECT count(*) FROM rejected_event") == [(1,)]
    assert rows(postgres, "SELECT campaign_id FROM recounted_campaign") == [(house.campaign_id,)]
    make_anew(pool, house)
    assert house.money.spent == COST
    assert not_holding(prover) == {"nothing_rejected": COST}


def test_a_bid_that_was_billed_by_another_event_costs_nothing_when_put_back(
    house: House, desk: RejectedDesk, postgres: psycopg.Connection, prover: Prover
) -> None:
    bid = house.bid()
    house.show(bid)

    def billed_again(event: Event) -> Event:
        other = msgspec.structs.replace(event, event_id=f"{bid.bid_id}:bill", kind=EventKind.BILL)
        return in_foreign_currency(house)(other)

    assert house.tell(bid, EventKind.IMPRESSION, billed_again) == "rebilled"
    house.flusher.drain(100)
    assert not_holding(prover) == {}
    assert fates(desk) == [Fate.STORED]
    assert ledger(postgres) == house.money.spent == COST


def test_of_rows_that_do_not_say_so_one_event_bills_a_bid(
    house: House, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    bid = house.bid()
    house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
    house.tell(
        bid,
        EventKind.BILL,
        lambda event: msgspec.structs.replace(in_foreign_currency(house)(event), cost_nanos=COST),
    )
    house.flusher.drain(100)
    rows(postgres, "UPDATE rejected_event SET late = NULL, odd = NULL RETURNING 1")
    assert fates(desk) == [Fate.STORED, Fate.STORED]
    assert ledger(postgres) == COST


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"campaign_id": 2**40}, "out of range"),
        ({"cost_nanos": -1}, "check constraint"),
        ({"bid_id": "\0"}, "NUL"),
        ({"event_date": "soon"}, "no date"),
        ({"event_date": "9999-12-31"}, "no partition"),
    ],
)
def test_what_is_still_refused_stays_and_says_why(
    house: House,
    desk: RejectedDesk,
    make_event: MakeEvent,
    append: Callable[..., None],
    changes: dict[str, object],
    reason: str,
) -> None:
    append(make_event("bad", **changes))
    house.flusher.drain(100)
    before = desk.waiting()
    for _ in range(2):
        [[told]] = list(desk.retry(before))
        assert (told.fate, reason in told.why) == (Fate.REFUSED, True)
    assert desk.waiting() == before


def test_one_that_is_refused_keeps_nobody_else(
    house: House,
    desk: RejectedDesk,
    make_event: MakeEvent,
    append: Callable[..., None],
    postgres: psycopg.Connection,
) -> None:
    append(make_event("bad", event_date="9999-12-31"))
    good = [broken(house) for _ in range(2)]
    found = {one.entry.ref: one.fate for some in desk.retry(desk.waiting()) for one in some}
    assert sorted(found.values()) == [Fate.REFUSED, Fate.STORED, Fate.STORED]
    assert not {str(entry.ref) for entry in desk.waiting()} & set(good)
    assert ledger(postgres) == 2 * COST


def test_many_are_put_back_beside_a_flusher_at_work(
    house: House, desk: RejectedDesk, pool: Pool, stream: EventStream, postgres: psycopg.Connection
) -> None:
    count = 450
    for _ in range(count):
        house.tell(house.bid(), EventKind.IMPRESSION, in_foreign_currency(house))
    house.flusher.drain(500)
    over = threading.Event()

    def flush() -> None:
        while not over.is_set():
            Flusher(pool, stream).flush_once(7)

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        assert fates(desk) == [Fate.STORED] * count
    finally:
        over.set()
        thread.join()
    assert ledger(postgres) == house.money.spent == count * COST
    assert desk.waiting() == []


def test_over_several_shards_money_is_kept_and_put_back_where_it_was(
    settings: Settings, postgres: psycopg.Connection, pool: Pool, redis_client: redis.Redis
) -> None:
    shards = 3
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    budgets = ShardedBudgets(redis_client, shards)
    flushers = [Flusher(pool, stream) for stream in event_streams(redis_client, shards)]
    house = House(
        ControlPlane(engine, CatalogStore(redis_client), budgets), redis_client, *flushers[:1]
    )
    bids = [house.bid() for _ in range(24)]
    for bid in bids:
        house.tell(bid, EventKind.IMPRESSION, in_foreign_currency(house))
    for flusher in flushers:
        flusher.drain(100)
    prover, desk = Prover(pool, redis_client, shards), RejectedDesk(pool, redis_client, shards)
    assert {entry.ref.shard for entry in desk.waiting()} == {bid.shard for bid in bids}
    assert len({bid.shard for bid in bids}) > 1
    before = house.money
    assert before.spent == 24 * COST
    redis_client.delete(f"adctl:{{s1}}:budget:{house.campaign_id}")
    make_anew(pool, house)
    assert (house.money.spent, house.money.available) == (before.spent, before.available)
    assert fates(desk) == [Fate.STORED] * 24
    make_anew(pool, house)
    assert (house.money.spent, house.money.available) == (before.spent, before.available)
    assert not_holding(prover) == {}
    engine.dispose()


def test_an_entry_of_a_shard_that_is_gone_goes_through_the_first(
    house: House, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    broken(house)
    rows(postgres, "UPDATE rejected_event SET stream = 'adctl:{s5}:events' RETURNING 1")
    assert fates(desk) == [Fate.STORED]
    assert ledger(postgres) == COST


def test_only_what_is_named_is_put_back(house: House, endpoints: Endpoints) -> None:
    first, second = broken(house), broken(house)
    done = run(endpoints, "retry", second, "--output", "json")
    assert done.exit_code == 0, done.output
    assert [(row["rejected"], row["fate"]) for row in json.loads(done.stdout)] == [
        (second, "stored")
    ]
    left = json.loads(run(endpoints, "list", "--output", "json").stdout)
    assert [row["rejected"] for row in left] == [first]


def test_a_dry_run_says_what_would_become_of_each_and_changes_nothing(
    house: House,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    make_event: MakeEvent,
    append: Callable[..., None],
) -> None:
    append(make_event("bad", event_date="9999-12-31"))
    broken(house)
    before = rows(postgres, "SELECT * FROM rejected_event ORDER BY stream_id")
    length = house.redis.xlen("adctl:{s0}:events")
    tried = run(endpoints, "retry", "--all", "--dry-run", "--output", "json")
    assert tried.exit_code == 0, tried.output
    assert [row["fate"] for row in json.loads(tried.stdout)] == ["refused", "stored"]
    assert rows(postgres, "SELECT * FROM rejected_event ORDER BY stream_id") == before
    assert house.redis.xlen("adctl:{s0}:events") == length
    assert ledger(postgres) == 0


def test_the_listing_says_what_waits_and_show_shows_it_whole(
    house: House, endpoints: Endpoints
) -> None:
    name = broken(house)
    [row] = json.loads(run(endpoints, "list", "--output", "json").stdout)
    assert row.pop("age_sec") < 60
    assert row == {
        "rejected": name,
        "kind": "impression",
        "campaign_id": house.campaign_id,
        "campaign": "Spring",
        "cost": "0.0015",
        "reason": "a text has a NUL character, which PostgreSQL does not store",
    }
    shown = json.loads(run(endpoints, "show", name, "--output", "json").stdout)
    assert json.loads(shown["raw"])["campaign_id"] == house.campaign_id
    assert (shown["late"], shown["odd"]) == (False, "taken")


def test_what_is_no_json_is_listed_shown_and_still_refused(
    house: House, endpoints: Endpoints, stream: EventStream
) -> None:
    house.redis.xadd(stream.key, {"e": b"\xff{\x00", "late": "0", "odd": "taken"})
    house.flusher.drain(100)
    [row] = json.loads(run(endpoints, "list", "--output", "json").stdout)
    assert (row["cost"], row["kind"], row["campaign_id"]) == ("unknown", None, None)
    shown = json.loads(run(endpoints, "show", row["rejected"], "--output", "json").stdout)
    assert shown["raw"] == "\\xff{\0"
    done = run(endpoints, "retry", "--all", "--output", "json")
    assert done.exit_code == 6
    assert "1 of 1 still wait" in done.stderr


@pytest.mark.parametrize("name", ["0/1-1", "1/1-1", "soon", "0/1", "999999/1-1", "0/1-1\n"])
def test_what_is_not_there_is_said_to_be_missing(
    house: House, endpoints: Endpoints, name: str
) -> None:
    for line in (["show", name], ["retry", name]):
        found = run(endpoints, *line)
        assert found.exit_code == 5, found.output
        assert "adctl rejected list" in found.stderr


@pytest.mark.parametrize("line", [["retry"], ["retry", "0/1-1", "--all"]])
def test_either_names_or_all_are_asked_for(
    house: House, endpoints: Endpoints, line: list[str]
) -> None:
    assert run(endpoints, *line).exit_code == 3


def test_reconcile_says_what_waits_and_leaves_its_money_alone(
    house: House, endpoints: Endpoints
) -> None:
    broken(house)
    house.redis.hincrby(house.key, "spent", -COST)
    house.redis.hincrby(house.key, "available", COST)
    env = {
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    line = ["budget", "reconcile", "--repair", "--yes", "--output", "json"]
    done = CliRunner().invoke(app, line, env=env, prog_name="adctl")
    assert done.exit_code == 1, done.output
    [waits] = [row for row in json.loads(done.stdout) if row["what"] == "nothing_rejected"]
    assert "adctl rejected list" in waits["cause"]
    assert waits["repair"] == ""
    assert house.money.spent == COST


@pytest.mark.parametrize(
    ("raw", "odd", "says"),
    [
        (b'{"kind":"click","campaign_id":7,"event_id":"a"}', "taken", ("a", "click", 7, 0)),
        (b'{"cost_nanos":5, "kind" : "win", "campaign_id": 7}', None, (None, "win", 7, 5)),
        (b'{"cost_nanos":5}', "rebilled", (None, None, None, 0)),
        (b'{"cost_nanos":5,"test":true}', "taken", (None, None, None, 0)),
        (b'{"bid_id":"\\"cost_nanos\\":7,\\u0000","cost_nanos":5}', "taken", (None, None, None, 5)),
        (b'{"cost_nanos":-5,"campaign_id":null}', "taken", (None, None, None, None)),
        (b'{"cost_nanos":1.5}', "taken", (None, None, None, None)),
        (b'{"cost_nanos":99999999999999999999}', "taken", (None, None, None, None)),
        (b'{"cost_nanos":5,"event_date":"2026-99-99"}', "taken", (None, None, None, 5)),
        (b'{"cost_nanos":5', "taken", (None, None, None, None)),
        (b'["cost_nanos"]', "taken", (None, None, None, None)),
        (b"\xff", "taken", (None, None, None, None)),
        (b"a\0b", "taken", (None, None, None, None)),
        (b"", "taken", (None, None, None, None)),
        (b"[" * 100_000, "taken", (None, None, None, None)),
    ],
)
def test_an_entry_says_what_can_be_read_of_it_whoever_put_it_there(
    postgres: psycopg.Connection, raw: bytes, odd: str | None, says: tuple[object, ...]
) -> None:
    postgres.execute(
        "INSERT INTO rejected_event (stream, stream_id, reason, raw, odd) "
        "VALUES ('s', '1-1', 'r', %s, %s)",
        [raw, odd],
    )
    columns = "event_id, kind, campaign_id, cost_nanos"
    assert rows(postgres, f"SELECT {columns} FROM rejected_event") == [says]


def test_rows_of_before_say_what_they_are_after_the_migration(
    house: House, postgres: psycopg.Connection
) -> None:
    broken(house)
    columns = "event_date, event_id, kind, campaign_id, cost_nanos, occurred_at"
    known = rows(postgres, f"SELECT {columns} FROM rejected_event")
    assert None not in known[0]
    wiped = ", ".join(f"{name} = NULL" for name in columns.split(", "))
    rows(postgres, f"UPDATE rejected_event SET {wiped} RETURNING 1")
    text = (SQL / "migrations" / "0019_rejected_events_say_what_they_are.sql").read_text()
    update = text[text.index("UPDATE rejected_event") :]
    postgres.execute(update[: update.index(";")])
    postgres.commit()
    assert rows(postgres, f"SELECT {columns} FROM rejected_event") == known


def test_an_entry_that_a_flusher_of_before_put_there_is_put_back(
    house: House, desk: RejectedDesk, prover: Prover, postgres: psycopg.Connection
) -> None:
    broken(house)
    [(stream, stream_id, raw)] = rows(postgres, "SELECT stream, stream_id, raw FROM rejected_event")
    rows(postgres, "DELETE FROM rejected_event RETURNING 1")
    postgres.execute(
        "INSERT INTO rejected_event (stream, stream_id, reason, raw) VALUES (%s, %s, 'r', %s)",
        [stream, stream_id, raw],
    )
    postgres.commit()
    assert not_holding(prover) == {"nothing_rejected": COST}
    assert fates(desk) == [Fate.STORED]
    assert ledger(postgres) == COST


def test_events_that_were_stored_misread_are_found_and_mended(
    house: House, endpoints: Endpoints, postgres: psycopg.Connection
) -> None:
    order = {"order_id": "o-1", "kind": EventKind.CONVERSION}

    def ordered(event: Event) -> Event:
        return msgspec.structs.replace(in_foreign_currency(house, "GBP", "1.3")(event), **order)

    house.tell(house.bid(), EventKind.IMPRESSION, in_foreign_currency(house, "EUR", "1.25"))
    house.tell(house.bid(), EventKind.CONVERSION, ordered)
    house.show(house.bid())
    assert house.flusher.drain(100).stored == 3
    columns = "advertiser_id, site, country, device"
    wrong = rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id")
    assert wrong[0] == (int.from_bytes(b"EUR\4"), "", "1.2", "53")
    [(_, day)] = rows(postgres, "SELECT DISTINCT 1, event_date FROM event")
    expected = [{"day": str(day), "campaign_id": house.campaign_id, "events": 2}]
    tried = run(endpoints, "misread", "--dry-run", "--output", "json")
    assert json.loads(tried.stdout) == expected
    assert rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id") == wrong
    assert json.loads(run(endpoints, "misread", "--output", "json").stdout) == expected
    whose = house.campaign.advertiser_id
    mended = rows(postgres, f"SELECT {columns} FROM event ORDER BY event_id")
    assert mended == [(whose, "", "", ""), (whose, "", "", ""), wrong[2]]
    assert rows(postgres, "SELECT advertiser_id, order_id FROM conversion_order") == [
        (whose, "o-1")
    ]
    assert json.loads(run(endpoints, "misread", "--output", "json").stdout) == []
