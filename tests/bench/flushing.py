"""Events per second from the stream into PostgreSQL, beside COPY and INSERT … ON CONFLICT alone."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import psycopg

from adctl.config import FlusherSettings, PostgresSettings, RedisSettings
from adctl.control.flushing import Flusher
from adctl.models import Event, EventKind
from adctl.stores import keys
from adctl.stores.event_rows import EventRow
from adctl.stores.events import EventStore
from adctl.stores.migrations import migrate
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.stream import EventStream
from daemons.flusher.work import MOST_TOGETHER, drain_growing
from tests.bench.measurements import Measurement, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from adctl.stores.endpoints import Endpoints

BARE = "bare COPY and ON CONFLICT"
BARE_LINES = "bare, of lines that are ready"
FLUSHER = "the flusher"
_EVENTS_A_ROUND = 50_000
# What a day's events are: most auctions that are won are seen, few are clicked on.
_KINDS = ((EventKind.WIN, 50), (EventKind.IMPRESSION, 46), (EventKind.CLICK, 4))


def measure(endpoints: Endpoints, rounds: int) -> Iterator[Measurement]:
    """Yield events per second of both, round by round, and their ratio.

    All write the same kind of rows into the event table, in batches of the size a flusher comes to
    that is behind. Bare does nothing else: no stream, no JSON, no ledger, no position; once with
    rows as a program has them, which psycopg makes lines of, and once with those lines, where
    PostgreSQL is all that is measured.
    """
    migrate(endpoints.postgres_url)
    bare = Measurement(BARE, "events/s", [])
    lines = Measurement(BARE_LINES, "events/s", [])
    ours = Measurement(FLUSHER, "events/s", [])
    with (
        connect(endpoints.redis_url, RedisSettings()) as client,
        open_pool(endpoints.postgres_url, PostgresSettings()) as pool,
    ):
        stream = EventStream(client)
        flusher = Flusher(pool, stream)
        flusher.drain(MOST_TOGETHER)
        for number in range(rounds):
            bare.rounds.append(_bare(endpoints.postgres_url, _events(3 * number)))
            lines.rounds.append(_bare(endpoints.postgres_url, _events(3 * number + 1), ready=True))
            _append(client, _events(3 * number + 2))
            began = time.perf_counter()
            stored = drain_growing(flusher, FlusherSettings().batch_size).stored
            ours.rounds.append(stored / (time.perf_counter() - began))
            stream.trim(stream.last_id())
    yield bare
    yield lines
    yield ours
    yield ratio(f"{FLUSHER} / {BARE}", ours, bare)
    yield ratio(f"{FLUSHER} / {BARE_LINES}", ours, lines)


def _events(series: int) -> list[Event]:
    chance, now = random.Random(series), datetime.now(UTC)
    kinds, weights = zip(*_KINDS, strict=True)
    at_ms = int(now.timestamp() * 1000)
    made = []
    for number, kind in enumerate(chance.choices(kinds, weights, k=_EVENTS_A_ROUND)):
        bid_id, campaign = f"{series:08x}{number:016x}", chance.randrange(1, 51)
        made.append(
            Event(
                event_id=f"{bid_id}:{kind}",
                event_date=now.date().isoformat(),
                kind=kind,
                occurred_at_ms=at_ms,
                bid_id=bid_id,
                campaign_id=campaign,
                creative_id=campaign,
                exchange="default",
                price_cpm_micros=2_000_000,
                cost_nanos=2_000_000 if kind is EventKind.IMPRESSION else 0,
                user_hash=f"{chance.getrandbits(128):032x}",
                site="news.example",
                country="USA",
                device="4",
                bid_cpm_micros=2_500_000,
                advertiser_id=1,
            )
        )
    return made


def _append(client: redis.Redis, events: Sequence[Event]) -> None:
    for at in range(0, len(events), 1000):
        pipeline = client.pipeline(transaction=False)
        for event in events[at : at + 1000]:
            fields = {"e": msgspec.json.encode(event), "late": "0", "odd": "taken"}
            pipeline.xadd(keys.events(0), fields)
        pipeline.execute()


def _bare(url: str, events: Sequence[Event], ready: bool = False) -> float:
    lines = [EventRow.of(f"1-{number}", event).line for number, event in enumerate(events)]
    with psycopg.connect(url) as conn:
        EventStore().make_partitions(conn, [datetime.now(UTC).date()])
        conn.execute("CREATE TEMP TABLE bare (LIKE event) ON COMMIT DELETE ROWS")
        rows = [] if ready else _as_rows(conn, lines)
        conn.commit()
        began = time.perf_counter()
        for at in range(0, len(events), MOST_TOGETHER):
            with conn.cursor().copy("COPY bare FROM STDIN") as copy:
                if ready:
                    copy.write(b"".join(lines[at : at + MOST_TOGETHER]))
                for row in rows[at : at + MOST_TOGETHER]:
                    copy.write_row(row)
            conn.execute("INSERT INTO event SELECT * FROM bare ON CONFLICT DO NOTHING")
            conn.commit()
        return len(events) / (time.perf_counter() - began)


def _as_rows(conn: psycopg.Connection, lines: Sequence[bytes]) -> list[tuple[object, ...]]:
    """Return what a program would have of these rows: dates, times, numbers and texts."""
    with conn.cursor().copy("COPY bare FROM STDIN") as copy:
        copy.write(b"".join(lines))
    return conn.execute("SELECT * FROM bare").fetchall()
