"""The hourly rollups of what was bid, delivered and spent. Hours are UTC."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
"""Before every hour."""
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""After every hour."""

_ARRAY, _QUOTED = "{{{}}}", '"{}"'
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"'})


class DeliveryKey(NamedTuple):
    """What a row of rollup_delivery is about."""

    hour: datetime
    campaign_id: int
    creative_id: int
    exchange: str
    site: str = ""
    country: str = ""
    device: str = ""


class Delivery(msgspec.Struct):
    """What is added to a row of rollup_delivery."""

    bids: int = 0
    wins: int = 0
    losses: int = 0
    impressions: int = 0
    clicks: int = 0
    conversions: int = 0
    view_conversions: int = 0
    spend_nanos: int = 0
    value_nanos: int = 0


class LandscapeKey(NamedTuple):
    """What a row of rollup_landscape is about: bids of a size, see delivery.landscape."""

    hour: datetime
    exchange: str
    country: str
    device: str
    price_bucket: int


class Landscape(msgspec.Struct):
    """What is added to a row of rollup_landscape; sums of what exchanges told, in CPM micros."""

    bids: int = 0
    wins: int = 0
    losses: int = 0
    paid_micros: int = 0
    min_to_win_micros: int = 0
    min_to_win_told: int = 0


class RequestsKey(NamedTuple):
    """What a row of rollup_requests is about; ``reason`` '' counts the requests that got a bid."""

    hour: datetime
    exchange: str
    reason: str


class CandidatesKey(NamedTuple):
    """What a row of rollup_candidates is about; ``outcome`` is ``won``, or a reason why not.

    ``sampled`` ones were looked into for one request in many, the others are counted of all.
    """

    hour: datetime
    campaign_id: int
    exchange: str
    outcome: str
    sampled: bool = False


class Candidacies(msgspec.Struct):
    """What is added to a row of rollup_candidates.

    ``capped`` of them bid less because of their ceiling, all together by ``cut_micros``.
    """

    candidates: int = 0
    capped: int = 0
    cut_micros: int = 0


class Additions:
    """What is to be added to the rollups, by their keys."""

    def __init__(self) -> None:
        self.delivery: defaultdict[DeliveryKey, Delivery] = defaultdict(Delivery)
        self.landscape: defaultdict[LandscapeKey, Landscape] = defaultdict(Landscape)
        self.requests: Counter[RequestsKey] = Counter()
        self.candidates: defaultdict[CandidatesKey, Candidacies] = defaultdict(Candidacies)


class Rollups:
    """Writes the rollups. Every method joins the transaction of the caller's connection."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/rollups.sql")

    def add(self, conn: psycopg.Connection, additions: Additions) -> None:
        """Add to the rollups."""
        tables: list[tuple[Any, Mapping[Any, Any], Iterable[str]]] = [
            (self._queries.add_delivery, additions.delivery, Delivery.__struct_fields__),
            (self._queries.add_landscape, additions.landscape, Landscape.__struct_fields__),
            (self._queries.add_requests, additions.requests, ["requests"]),
            (self._queries.add_candidates, additions.candidates, Candidacies.__struct_fields__),
        ]
        for write, rows, names in tables:
            if rows:
                write(conn, **_columns(rows, names))

    def rebuild(
        self, conn: psycopg.Connection, since: datetime = ALWAYS, until: datetime = FOREVER
    ) -> int:
        """Make what events add to hours from ``since`` to ``until`` what the event table says.

        Returns how many rows of rollup_delivery it filled. The caller keeps others from adding
        meanwhile, and both are beginnings of hours. What decisions add stays.
        """
        hours = {"since": since, "until": until}
        self._queries.clear_delivery(conn, **hours)
        filled: int = self._queries.fill_delivery(conn, **hours)
        self._queries.drop_empty_delivery(conn, **hours)
        self._queries.clear_landscape(conn, **hours)
        self._queries.fill_landscape(conn, **hours)
        self._queries.drop_empty_landscape(conn, **hours)
        return filled

    def differing(
        self, conn: psycopg.Connection, since: datetime, until: datetime
    ) -> list[datetime]:
        """Return the hours from ``since`` to ``until`` whose totals are not their events'."""
        return [at for (at,) in self._queries.differing_hours(conn, since=since, until=until)]

    def filled(self, conn: psycopg.Connection, since: datetime, until: datetime) -> list[datetime]:
        """Return the hours from ``since`` to ``until`` that have rows of deliveries."""
        return [at for (at,) in self._queries.hours_with_rows(conn, since=since, until=until)]

    def first_moment(self, conn: psycopg.Connection) -> datetime | None:
        """Return the moment before which nothing happened; None if nothing has."""
        first: datetime | None = self._queries.first_moment(conn)
        return first

    def forget_decisions(self, conn: psycopg.Connection, since: datetime) -> None:
        """Take out what decisions have added to the hours from ``since`` on.

        The caller keeps others from adding meanwhile, and ``since`` is the beginning of an hour.
        """
        self._queries.forget_bids(conn, since=since)
        self._queries.forget_landscape_bids(conn, since=since)
        self._queries.forget_requests(conn, since=since)
        self._queries.forget_candidates(conn, since=since)

    def hours(self, conn: psycopg.Connection, since: datetime, until: datetime) -> list[datetime]:
        """Return the hours from ``since`` to ``until`` that have rows or events, in order.

        None of before the days of the oldest events that are kept.
        """
        return [hour for (hour,) in self._queries.list_hours(conn, since=since, until=until)]

    def differences(self, conn: psycopg.Connection, hour: datetime, *, untold: bool) -> int:
        """Return in how many rows an hour's deliveries are not what the event table says.

        Without ``untold``, what it says of the events that no relay has before it any longer.
        """
        count: int = self._queries.count_differences(conn, hour=hour, untold=untold)
        return count


def _columns(rows: Mapping[Any, Any], names: Iterable[str]) -> dict[str, str]:
    """Return rows as an array for each column: one statement for all of them.

    Sorted, so that consumers that touch the same rows never wait for each other in a circle.
    """
    keys = sorted(rows)
    columns = {name: _array([getattr(key, name) for key in keys]) for name in keys[0]._fields}
    if isinstance(rows, Counter):
        return columns | {name: _array([rows[key] for key in keys]) for name in names}
    return columns | {name: _array([getattr(rows[key], name) for key in keys]) for name in names}


def _array(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL reads it: psycopg takes as long over lists as counting does."""
    texts: Iterable[str] = map(str, values)
    if not isinstance(values[0], int):
        texts = (_QUOTED.format(text.translate(_ESCAPED)) for text in texts)
    return _ARRAY.format(",".join(texts))
