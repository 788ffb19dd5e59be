"""Stream entries that PostgreSQL does not take as events: what they say, and that they wait.

A row is named SHARD/STREAM_ID. An entry that is made of it to try again bears that name, and the
row goes in the transaction that stores the event: until then its cost waits in the row, not in the
stream.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Self

from adctl.stores import keys
from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import psycopg

    from adctl.models import Event
    from adctl.stores.stream import StreamEntry

_SHARD = re.compile(r"\{s(\d+)\}")
_NAME = re.compile(r"(\d{1,4})/(\d{1,20}-\d{1,20})")


class RejectedRef(NamedTuple):
    """By which a rejected entry is known: the stream it came through, and its id there."""

    stream: str
    stream_id: str

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return what SHARD/STREAM_ID names; None for a text that is no name."""
        found = _NAME.fullmatch(name)
        return cls(keys.events(int(found[1])), found[2]) if found else None

    @property
    def shard(self) -> int:
        """The shard whose stream it came through."""
        found = _SHARD.search(self.stream)
        return int(found[1]) if found else 0

    def __str__(self) -> str:
        """Return its name, SHARD/STREAM_ID."""
        return f"{self.shard}/{self.stream_id}"


class WaitingEntry(NamedTuple):
    """A rejected entry, as far as it can be read; None stands for what it does not say.

    A ``cost_nanos`` of None may be any amount. ``campaign`` is None where there is no such one.
    """

    stream: str
    stream_id: str
    rejected_at: datetime
    kind: str | None
    campaign_id: int | None
    campaign: str | None
    cost_nanos: int | None
    reason: str

    @property
    def ref(self) -> RejectedRef:
        """By which it is known."""
        return RejectedRef(self.stream, self.stream_id)


class RejectedEntry(NamedTuple):
    """What a rejected entry holds.

    ``late`` and ``odd`` are None where nobody kept them; ``advertiser_id`` is its campaign's.
    """

    stream: str
    stream_id: str
    raw: bytes
    late: bool | None
    odd: str | None
    advertiser_id: int | None

    @property
    def ref(self) -> RejectedRef:
        """By which it is known."""
        return RejectedRef(self.stream, self.stream_id)


class RejectedCount(NamedTuple):
    """How many entries wait: that cost something, nothing, or nobody knows what; and the nanos."""

    costly: int
    free: int
    unknown: int
    nanos: int

    @property
    def all(self) -> int:
        """How many wait altogether."""
        return self.costly + self.free + self.unknown


class RejectedEvents:
    """The table rejected_event. Every method joins the transaction of the caller's connection."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/rejected_events.sql")

    def put(self, conn: psycopg.Connection, stream: str, entry: StreamEntry, reason: str) -> None:
        """Keep an entry that cannot be stored, with the reason, unless its event waits already.

        Of one that was made of a rejected one, only that one's reason becomes another.
        """
        ref = RejectedRef.parse(entry.retried)
        if ref and self._queries.refuse_again(conn, **ref._asdict(), reason=reason):
            return
        late, odd = entry.fields.get(b"late") == b"1", entry.fields.get(b"odd", b"taken")
        self._queries.reject(
            conn,
            stream=stream,
            stream_id=entry.id,
            reason=reason,
            raw=entry.raw,
            late=late,
            odd=odd.decode("ascii", "replace"),
        )

    def forget(self, conn: psycopg.Connection, names: Iterable[str]) -> None:
        """Forget entries by their names: they have become events, or are known for repeats."""
        refs = [ref for name in names if (ref := RejectedRef.parse(name))]
        if refs:
            self._queries.forget(conn, **_columns(refs))

    def waiting(self, conn: psycopg.Connection) -> list[WaitingEntry]:
        """Return all entries, oldest first."""
        return [WaitingEntry(*row) for row in self._queries.waiting(conn)]

    def entries(self, conn: psycopg.Connection, refs: Sequence[RejectedRef]) -> list[RejectedEntry]:
        """Return what those hold that are still there, in the order asked for."""
        return [RejectedEntry(*row) for row in self._queries.entries(conn, **_columns(refs))]

    def reasons(
        self, conn: psycopg.Connection, refs: Sequence[RejectedRef]
    ) -> dict[RejectedRef, str]:
        """Return why those are rejected that are still there."""
        rows = self._queries.reasons(conn, **_columns(refs))
        return {RejectedRef(stream, stream_id): reason for stream, stream_id, reason in rows}

    def stored_as(self, conn: psycopg.Connection, events: Sequence[Event]) -> set[str]:
        """Return the stream ids under which those events are stored that are."""
        days, ids = [one.event_date for one in events], [one.event_id for one in events]
        return {row[0] for row in self._queries.stored_as(conn, dates=days, ids=ids)}

    def count(self, conn: psycopg.Connection) -> RejectedCount:
        """Return how many wait."""
        return RejectedCount(*map(int, self._queries.count(conn)))


def _columns(refs: Sequence[RejectedRef]) -> dict[str, list[str]]:
    return {
        "streams": [ref.stream for ref in refs],
        "stream_ids": [ref.stream_id for ref in refs],
    }
