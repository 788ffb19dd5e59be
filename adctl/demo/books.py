"""What the stores say about a run: for the screen while it lasts, and for the audit at its end."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.errors import StoreUnavailableError
from adctl.models import Factors
from adctl.stores import keys
from adctl.stores.budgets import Budgets, BudgetState
from adctl.stores.positions import POSTGRES, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.redis import redis_errors
from adctl.stores.stream import event_streams, id_order

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

_WATCH_EVERY_SEC = 1.0
_ROLLED_UP = ("win", "loss", "impression", "click", "conversion")


class CampaignBooks(NamedTuple):
    """One campaign: its money in Redis, its live counts, and its pace (parts per million)."""

    id: int
    name: str
    status: str
    strategy: str
    money: BudgetState | None
    counts: dict[str, int]
    pacing_ppm: int


class Overview(NamedTuple):
    """All campaigns, and how many requests got no bid for which reason."""

    campaigns: tuple[CampaignBooks, ...] = ()
    no_bids: tuple[tuple[str, int], ...] = ()

    @property
    def spent_nanos(self) -> int:
        """What all campaigns have spent."""
        return sum(campaign.money.spent for campaign in self.campaigns if campaign.money)


class StoredEvents(NamedTuple):
    """Every event PostgreSQL holds: how often each id, and what it booked."""

    times: dict[str, int]
    cost_nanos: dict[str, int]

    def of(self, kind: str) -> int:
        """Return how many different events of ``kind`` there are."""
        return sum(event_id.endswith(f":{kind}") for event_id in self.times)


class Holdings(NamedTuple):
    """All that the stores hold of a run.

    ``ledger_nanos`` by campaign; ``rolled_up`` by event kind, and ``spend_nanos``; ``rejected``
    counts stream entries that could not be stored as events.
    """

    events: StoredEvents
    overview: Overview
    ledger_nanos: dict[int, int]
    rolled_up: dict[str, int]
    rejected: int


class Books:
    """Reads the stores. Safe to share between threads. Methods raise StoreUnavailableError."""

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        client: redis.Redis,
        budgets: Budgets,
        state_dir: Path,
    ) -> None:
        self._pool = pool
        self._redis = client
        self._budgets = budgets
        self._streams = event_streams(client, budgets.shards)
        self._spool = state_dir / "spool"
        self._queries = load_queries("queries/demo_books.sql")

    def overview(self) -> Overview:
        """Return how campaigns stand now."""
        with postgres_errors("read the campaigns"), self._pool.connection() as conn:
            rows = list(self._queries.campaigns(conn))
            no_bids = tuple((str(reason), int(n)) for reason, n in self._queries.no_bids(conn))
        money = self._budgets.read(row[0] for row in rows)
        with redis_errors("read counts and factors"):
            factors: Any = self._redis.hgetall(keys.FACTORS)
            counts = [self._counts(row[0]) for row in rows]
        campaigns = tuple(
            CampaignBooks(
                campaign_id,
                name,
                status,
                strategy,
                money.get(campaign_id),
                counted,
                _pacing_ppm(factors.get(str(campaign_id))),
            )
            for (campaign_id, name, status, strategy), counted in zip(rows, counts, strict=True)
        )
        return Overview(campaigns, no_bids)

    def _counts(self, campaign_id: int) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for shard in range(self._budgets.shards):
            found: Any = self._redis.hgetall(keys.counters(shard, campaign_id))
            counted.update({kind: int(number) for kind, number in found.items()})
        return dict(counted)

    def undrained(self) -> str:
        """Return what has not arrived everywhere yet, in words; '' when everything has."""
        spooled = sum(file.stat().st_size > 0 for file in self._spool.glob("*"))
        if spooled:
            return "events in the tracker's spool"
        tails = [(stream.key, stream.last_id()) for stream in self._streams]
        waiting = sum(stream.length() for stream in self._streams)
        with postgres_errors("read positions"), self._pool.connection() as conn:
            behind = sorted(
                {
                    position.reader
                    for key, tail in tails
                    for position in StreamPositions(key).read(conn)
                    if id_order(position.last_id) < id_order(tail)
                }
            )
            stored = dict(self._queries.delivered(conn))
            rolled_up = self._rolled_up(conn)
            recounted = self._queries.recounted(conn)
        if behind:
            names = {POSTGRES: "PostgreSQL"}
            return (
                f"events on their way to {', '.join(names.get(name, 'Kafka') for name in behind)}"
            )
        if waiting:
            return f"{waiting} events not yet trimmed from the stream"
        if recounted:
            return f"money of {recounted} campaigns that is to be made anew"
        late = [kind for kind in _ROLLED_UP if rolled_up[kind] != stored.get(kind, 0)]
        return f"rollups of {', '.join(late)}" if late else ""

    def _rolled_up(self, conn: psycopg.Connection) -> dict[str, int]:
        *counts, spend_nanos = self._queries.rolled_up(conn)
        return dict(zip(_ROLLED_UP, counts, strict=True)) | {"spend_nanos": spend_nanos}

    def holdings(self) -> Holdings:
        """Return all that is held; meant for when nothing changes any more."""
        overview, events = self.overview(), StoredEvents({}, {})
        with postgres_errors("read what is held"), self._pool.connection() as conn:
            for event_id, cost_nanos in self._queries.read_events(conn):
                events.times[event_id] = events.times.get(event_id, 0) + 1
                events.cost_nanos[event_id] = events.cost_nanos.get(event_id, 0) + cost_nanos
            return Holdings(
                events,
                overview,
                {campaign_id: int(nanos) for campaign_id, nanos in self._queries.ledger(conn)},
                self._rolled_up(conn),
                int(self._queries.rejected(conn)),
            )


def _pacing_ppm(factors: str | None) -> int:
    return (
        msgspec.json.decode(factors, type=Factors).pacing_ppm if factors else Factors().pacing_ppm
    )


class BooksWatch:
    """Keeps an overview fresh, from a thread of its own; as it was while a store is away."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="books", daemon=True)
        self.latest = Overview()
        self.stale = False

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.latest = self._books.overview()
                self.stale = False
            except StoreUnavailableError:
                self.stale = True
            self._stop.wait(_WATCH_EVERY_SEC)
