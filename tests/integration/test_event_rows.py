from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.control.flushing import Flusher
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.stores.event_rows import COLUMNS, EventRow
from adctl.stores.events import EventStore
from adctl.stores.relay_batches import RelayBatches

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.stores.stream import EventStream

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_BIGINT = st.integers(-(2**63), 2**63 - 1)
_YEARS_1_TO_9999_MS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
_EVENTS = st.builds(
    Event,
    event_id=_TEXT,
    event_date=st.dates().map(lambda day: day.isoformat()),
    occurred_at_ms=_YEARS_1_TO_9999_MS,
    bid_id=_TEXT,
    campaign_id=st.integers(-(2**31), 2**31 - 1),
    creative_id=st.integers(-(2**31), 2**31 - 1),
    exchange=_TEXT,
    price_cpm_micros=_BIGINT,
    cost_nanos=_BIGINT,
    odd=_TEXT,
    loss_reason=st.integers(-(2**31), 2**31 - 1),
    user_hash=_TEXT,
    min_to_win_micros=st.none() | _BIGINT,
    market_bid_ratio_ppm=st.none() | _BIGINT,
    shown_at_ms=st.none() | _YEARS_1_TO_9999_MS,
    advertiser_id=st.integers(-(2**31), 2**31 - 1),
    site=_TEXT,
    country=_TEXT,
    device=_TEXT,
    bid_cpm_micros=_BIGINT,
    order_id=_TEXT,
    value_nanos=st.none() | _BIGINT,
    told_value_nanos=st.none() | _BIGINT,
    told_currency=_TEXT,
    attribution=st.sampled_from(["", "click", "view"]),
)


def _columns(stream_id: str, event: Event) -> dict[str, object]:
    columns = msgspec.structs.asdict(event)
    shown_at_ms = columns.pop("shown_at_ms")
    occurred_at = _EPOCH + timedelta(milliseconds=columns.pop("occurred_at_ms"))
    shown_at = None if shown_at_ms is None else _EPOCH + timedelta(milliseconds=shown_at_ms)
    return {
        **columns,
        "kind": event.kind.value,
        "occurred_at": occurred_at,
        "shown_at": shown_at,
        "stream_id": stream_id,
        "event_date": datetime.fromisoformat(event.event_date).date(),
    }


def test_every_column_holds_what_the_event_says(postgres: psycopg.Connection) -> None:
    postgres.execute("CREATE TEMP TABLE told (LIKE event)")
    copied = f"COPY told ({COLUMNS}) FROM STDIN"

    @settings(deadline=None)
    @given(st.lists(_EVENTS, max_size=5))
    def holds(events: list[Event]) -> None:
        with postgres.cursor() as cursor:
            with cursor.copy(copied) as copy:
                copy.write(b"".join(EventRow.of(f"{n}-0", e).line for n, e in enumerate(events)))
            cursor.execute("SELECT * FROM told")
            names = [column.name for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor]
            cursor.execute("TRUNCATE told")
        assert found == [_columns(f"{n}-0", event) for n, event in enumerate(events)]

    holds()


@pytest.mark.parametrize("first", ["program", "migration"])
def test_events_are_stored_beside_a_migration_that_adds_a_column(
    postgres: psycopg.Connection,
    stream: EventStream,
    make_event: Callable[..., Event],
    first: str,
) -> None:
    """Of one that is newer than the program, in the midst of a session or before it."""
    store, today = EventStore(), datetime.now(UTC).date()
    store.make_partitions(postgres, [today])
    rows = [EventRow.of(f"{number}-0", make_event(f"event {number}")) for number in range(2)]
    if first == "program":
        store.store(postgres, rows[:1], stream=stream.key)
        postgres.commit()
    postgres.execute("ALTER TABLE event ADD COLUMN newer integer NOT NULL DEFAULT 7")
    store.store(postgres, rows, stream=stream.key)
    found = postgres.execute("SELECT event_id, newer FROM event ORDER BY 1").fetchall()
    postgres.rollback()
    assert found == [("event 0", 7), ("event 1", 7)]


def test_the_message_made_of_a_row_is_that_of_the_stream_but_for_the_user(
    postgres: psycopg.Connection, stream: EventStream
) -> None:
    """Byte for byte, for every kind and any combination of what an event may have."""
    store, batches = EventStore(), RelayBatches(stream.key)
    day = datetime.now(UTC).date()
    postgres.execute("SELECT event_partition(%s)", [day])
    numbers = itertools.count(1)

    @settings(deadline=None)
    @given(st.lists(_EVENTS, min_size=1, max_size=5))
    def holds(drawn: list[Event]) -> None:
        events = [
            msgspec.structs.replace(
                event,
                event_id=f"{number}:{event.event_id}",
                event_date=day.isoformat(),
                cost_nanos=abs(event.cost_nanos) // 2,
                campaign_id=0,
                advertiser_id=abs(event.advertiser_id) // 2,
                order_id=f"{number}:{event.order_id}" if event.order_id else "",
            )
            for number, event in zip(numbers, drawn, strict=False)
        ]
        rows = [EventRow.of(f"{10 - place}-0", event) for place, event in enumerate(events)]
        store.store(postgres, rows, stream=stream.key)
        waiting = batches.next(postgres, 1)
        sent = batches.events(postgres, waiting)
        batches.forget(postgres, waiting)
        postgres.commit()
        assert [stream_id for stream_id, _ in sent] == [row.stream_id for row in rows[::-1]]
        assert [msgspec.json.encode(event) for _, event in sent] == [
            msgspec.json.encode(msgspec.structs.replace(event, user_hash=""))
            for event in events[::-1]
        ]

    holds()


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("present", [True, False])
def test_the_message_of_a_row_has_what_the_tracker_told_of_each_kind(
    flusher: Flusher,
    stream: EventStream,
    redis_client: redis.Redis,
    postgres: psycopg.Connection,
    make_event: Callable[..., Event],
    kind: EventKind,
    present: bool,
) -> None:
    """``late``, ``odd`` and a second billing's cost are not in what the tracker wrote."""
    optional = {
        "unpriced": True,
        "loss_reason": 102,
        "user_hash": "a" * 32,
        "min_to_win_micros": 0,
        "market_bid_ratio_ppm": 1_000_001,
        "shown_at_ms": 1_700_000_000_001,
        "advertiser_id": 3,
        "site": "zwölf.example",
        "country": "DEU",
        "device": "4",
        "bid_cpm_micros": 2**40,
        "order_id": "o-1",
        "value_nanos": 0,
        "told_value_nanos": 12,
        "told_currency": "EUR",
        "attribution": "view",
    }
    event = make_event("a", kind=kind, **(optional if present else {}))
    for number, (late, odd) in enumerate(itertools.product("01", ("taken", "late", "rebilled"))):
        told = msgspec.structs.replace(event, event_id=f"{number}", order_id="", test=number == 1)
        fields = {"e": msgspec.json.encode(told), "late": late, "odd": odd}
        redis_client.xadd(keys.events(SHARD), fields)
    redis_client.xadd(keys.events(SHARD), {"e": msgspec.json.encode(event), "late": "0"})
    flusher.drain(100)
    batches = RelayBatches(stream.key)
    entries = stream.read("0-0", 100)
    assert batches.events(postgres, batches.next(postgres, 100)) == [
        (entry.id, msgspec.structs.replace(entry.decode(), user_hash="")) for entry in entries
    ]


@pytest.fixture
def flusher(pool: ConnectionPool[psycopg.Connection], stream: EventStream) -> Flusher:
    return Flusher(pool, stream)
