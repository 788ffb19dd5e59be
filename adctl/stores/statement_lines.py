"""The detail of invoices: what was charged by day of booking, campaign and exchange."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.stores.postgres import load_queries
from adctl.stores.rollups import ALWAYS, FOREVER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import psycopg


class LineKey(NamedTuple):
    """What a line is about. The day, of UTC, is that of the booking."""

    day: date
    campaign_id: int
    exchange: str


class Charge(msgspec.Struct):
    """What a line says, or what is added to it. ``impressions`` are those that cost something.

    The late and the unpriced ones are among them, as in adctl.control.statements.InvoiceLine.
    """

    impressions: int = 0
    spend_nanos: int = 0
    late_impressions: int = 0
    late_spend_nanos: int = 0
    unpriced_impressions: int = 0
    unpriced_spend_nanos: int = 0

    def add(self, cost_nanos: int, *, late: bool, unpriced: bool) -> None:
        """Count one more impression."""
        self.impressions += 1
        self.spend_nanos += cost_nanos
        if late:
            self.late_impressions += 1
            self.late_spend_nanos += cost_nanos
        if unpriced:
            self.unpriced_impressions += 1
            self.unpriced_spend_nanos += cost_nanos


class StatementLines:
    """Reads and writes lines. Every method joins the transaction of the caller's connection."""

    def __init__(self) -> None:
        self._queries = load_queries("queries/statement_lines.sql")

    def booked_on(self, conn: psycopg.Connection, event_ids: Collection[str]) -> dict[str, date]:
        """Return the day on which each of these events was booked, of those that were."""
        return dict(self._queries.booked_on(conn, event_ids=list(event_ids)))

    def add(self, conn: psycopg.Connection, charges: Mapping[LineKey, Charge]) -> None:
        """Add to the lines."""
        # Sorted, so that consumers that touch the same rows never wait for each other in a circle.
        self._queries.add_lines(
            conn, [key._asdict() | msgspec.to_builtins(charges[key]) for key in sorted(charges)]
        )

    def rebuild(
        self, conn: psycopg.Connection, since: datetime = ALWAYS, until: datetime = FOREVER
    ) -> int:
        """Make the lines from ``since`` to ``until``, midnights of UTC, what the ledger says.

        Returns how many there are. The caller keeps others from adding meanwhile.
        """
        self._queries.clear_lines(conn, since=since, until=until)
        filled: int = self._queries.fill_lines(conn, since=since, until=until)
        return filled

    def differing(
        self, conn: psycopg.Connection, since: datetime, until: datetime
    ) -> list[datetime]:
        """Return the days from ``since`` to ``until`` whose totals are not the ledger's."""
        return [at for (at,) in self._queries.differing_days(conn, since=since, until=until)]

    def filled(self, conn: psycopg.Connection, since: datetime, until: datetime) -> list[datetime]:
        """Return the days from ``since`` to ``until`` that have lines."""
        return [at for (at,) in self._queries.days_with_lines(conn, since=since, until=until)]

    def first_moment(self, conn: psycopg.Connection) -> datetime | None:
        """Return the moment before which nothing was booked; None if nothing has been."""
        first: datetime | None = self._queries.first_moment(conn)
        return first

    def read(
        self, conn: psycopg.Connection, since: datetime, until: datetime
    ) -> dict[LineKey, Charge]:
        """Return the lines of the days from ``since`` to before ``until``, midnights of UTC."""
        rows = self._queries.lines(conn, since=since, until=until)
        return {LineKey(*row[:3]): Charge(*row[3:]) for row in rows}

    def booked(
        self, conn: psycopg.Connection, since: datetime, until: datetime, *, untold: bool
    ) -> dict[LineKey, Charge]:
        """Return what the ledger says the lines of these days should be.

        Without ``untold``, what it says of the events that no relay has before it any longer.
        """
        rows = self._queries.booked_lines(conn, since=since, until=until, untold=untold)
        return {LineKey(*row[:3]): Charge(*row[3:]) for row in rows}
