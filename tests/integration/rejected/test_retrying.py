"""Rejected events are put back once, whoever is killed over it, and reach every store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.control.flushing import Flusher
from adctl.control.rejected import Fate, RejectedDesk
from adctl.control.relaying import Relay
from adctl.errors import ConflictError
from adctl.models import Event, EventKind
from adctl.streams import topics
from adctl.streams.admin import KafkaAdmin
from adctl.streams.producer import ReliableProducer
from adctl.streams.reader import TopicReader
from tests.integration.rejected.refused import (
    COST,
    PLACE,
    broken,
    fates,
    in_foreign_currency,
    killed_before_the_flush,
    ledger,
    not_holding,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.config import KafkaSettings
    from adctl.control.proving import Prover
    from adctl.stores.stream import EventStream
    from tests.integration.house import House

    MakeEvent = Callable[..., Event]
    Pool = ConnectionPool[psycopg.Connection]


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


def test_an_entry_of_a_shard_that_is_gone_goes_through_the_first(
    house: House, desk: RejectedDesk, postgres: psycopg.Connection
) -> None:
    broken(house)
    rows(postgres, "UPDATE rejected_event SET stream = 'adctl:{s5}:events' RETURNING 1")
    assert fates(desk) == [Fate.STORED]
    assert ledger(postgres) == COST


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
