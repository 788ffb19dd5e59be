"""The proof that the money adds up: every invariant, on the running system, and the bound."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.invariants import (
    ENTRIES,
    NO_BOUND,
    REJECTED,
    STATEMENTS,
    STREAM,
    Bound,
    Breach,
    LedgerBooks,
    bound,
    breaches,
)
from adctl.errors import StoreUnavailableError
from adctl.stores.books import BooksMovedOnError
from adctl.stores.positions import POSTGRES, StreamPositions
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.sharded_books import ShardedBookReader
from adctl.stores.stream import ORIGIN, EventStream, event_streams, id_order

if TYPE_CHECKING:
    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

_ATTEMPTS = 5


class Proof(NamedTuple):
    """What was proved: how many campaigns were looked at, what does not hold, and the bound."""

    campaigns: int
    breaches: tuple[Breach, ...]
    bound: Bound

    def broken(self) -> dict[str, int]:
        """Return how often each invariant does not hold, all of them included."""
        found = Counter(breach.invariant for breach in self.breaches)
        return {name: found[name] for name in STATEMENTS}

    def rows(self) -> list[dict[str, object]]:
        """Return a row for each invariant: its name, what it says, and how often it is broken."""
        return [
            {"invariant": name, "says": STATEMENTS[name], "holds": not times, "broken": times}
            for name, times in self.broken().items()
        ]


class _Ledger(NamedTuple):
    """PostgreSQL's books of one moment; ``unbalanced`` is the sum of all entries in nanos.

    ``rejected`` are nanos that wait in rejected events of no campaign among these, ``unknown`` how
    many of them do not say what they cost.
    """

    flushed_ids: list[str]
    unbalanced: int
    campaigns: list[LedgerBooks]
    rejected: int
    unknown: int


class Prover:
    """Checks the books of both stores against each other while bids and events go on."""

    def __init__(
        self, pool: ConnectionPool[psycopg.Connection], client: redis.Redis, shards: int = 1
    ) -> None:
        self._pool = pool
        self._streams = event_streams(client, shards)
        self._reader = ShardedBookReader(client, shards)
        self._queries = load_queries("queries/proof.sql")

    def prove(self) -> Proof:
        """Check every invariant of every campaign that is not archived; changes nothing.

        Raises StoreUnavailableError.
        """
        for _ in range(_ATTEMPTS):
            ledger = self._ledger()
            try:
                books = self._reader.read(
                    [of.campaign_id for of in ledger.campaigns], ledger.flushed_ids
                )
            except BooksMovedOnError:
                # The flusher has written and trimmed meanwhile; or PostgreSQL is really behind.
                if behind := self._behind():
                    return Proof(len(ledger.campaigns), (behind,), NO_BOUND)
                continue
            pairs = list(zip(ledger.campaigns, books, strict=True))
            found = [breach for of, held in pairs for breach in breaches(of, held)]
            if ledger.unbalanced:
                found.append(Breach(ENTRIES, 0, "", 0, ledger.unbalanced))
            found += _rejected(ledger)
            return Proof(len(books), tuple(found), bound(pairs))
        raise StoreUnavailableError("the ledger moves on faster than it can be compared")

    def _ledger(self) -> _Ledger:
        with postgres_errors("read the ledger"), self._pool.connection() as conn:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return _Ledger(
                [_flushed_id(conn, stream) for stream in self._streams],
                int(self._queries.unbalanced(conn)),
                [LedgerBooks(*row) for row in self._queries.campaigns(conn)],
                *map(int, self._queries.rejected_elsewhere(conn)),
            )

    def _behind(self) -> Breach | None:
        for stream in self._streams:
            trimmed_id = stream.trimmed_id()
            with postgres_errors("read stream positions"), self._pool.connection() as conn:
                flushed_id = _flushed_id(conn, stream)
            if id_order(flushed_id) < id_order(trimmed_id):
                return Breach(STREAM, 0, "", trimmed_id, flushed_id)
        return None


def _rejected(ledger: _Ledger) -> list[Breach]:
    found = [Breach(REJECTED, 0, "", 0, ledger.rejected)] if ledger.rejected else []
    if ledger.unknown:
        found.append(Breach(REJECTED, 0, "", 0, f"{ledger.unknown} of unknown cost"))
    return found


def _flushed_id(conn: psycopg.Connection, stream: EventStream) -> str:
    positions = StreamPositions(stream.key).read(conn)
    return next((found.last_id for found in positions if found.reader == POSTGRES), ORIGIN)
