"""Events that were stored with a place misread from a foreign currency: found, and mended.

Their money is right: it goes by campaign. Their advertiser is none, and so are country and device.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.misread_places import LEAST_READ_AS, true_place
from adctl.delivery.place import Place
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from psycopg_pool import ConnectionPool


class MisreadDay(NamedTuple):
    """How many events of a campaign were misread, of the bids of one UTC day."""

    day: date
    campaign_id: int
    events: int

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for."""
        return {**self._asdict(), "day": self.day.isoformat()}


class _Mended(NamedTuple):
    event_id: str
    campaign_id: int
    advertiser_id: int
    place: Place


class MisreadEvents:
    """The misread rows of the event table. Raises StoreUnavailableError throughout."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self._pool = pool
        self._queries = load_queries("queries/misread_events.sql")
        self._days = load_queries("queries/retention.sql")

    def days(self) -> list[date]:
        """Return the days there are events of, oldest first."""
        with postgres_errors("look at partitions"), self._pool.connection() as conn:
            return [row[0] for row in self._days.days(conn)]

    def mend(self, days: list[date], *, dry_run: bool) -> Iterator[list[MisreadDay]]:
        """Yield what was misread, day after day, and mend it; repeating it changes nothing."""
        for day in days:
            with postgres_errors("mend events"), self._pool.connection() as conn:
                found = self._find(conn, day)
                if found and not dry_run:
                    self._queries.mend(
                        conn,
                        day=day,
                        event_ids=[one.event_id for one in found],
                        advertiser_ids=[one.advertiser_id for one in found],
                        sites=[one.place.site for one in found],
                        countries=[one.place.country for one in found],
                        devices=[one.place.device for one in found],
                    )
            counts = Counter(one.campaign_id for one in found)
            yield [MisreadDay(day, campaign_id, n) for campaign_id, n in sorted(counts.items())]

    def _find(self, conn: psycopg.Connection, day: date) -> list[_Mended]:
        rows = self._queries.suspects(conn, day=day, from_advertiser_id=LEAST_READ_AS)
        return [
            _Mended(event_id, campaign_id, advertiser_id, place)
            for event_id, campaign_id, read_as, advertiser_id, *read in rows
            if (place := true_place(read_as, Place(*read), advertiser_id)) is not None
        ]
