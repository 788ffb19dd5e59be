"""The detail of invoices as people see it, and held against the ledger it has to be equal to."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from operator import gt, lt
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import astuple

from adctl.control.settled import moments
from adctl.money import format_nanos
from adctl.stores.postgres import load_queries, postgres_errors
from adctl.stores.statement_lines import Charge, LineKey, StatementLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.statements import Month

    Lines = Mapping[LineKey, Charge]

_queries = load_queries("reports/statements.sql")


class StatementLine(NamedTuple):
    """What one campaign was charged for a day at an exchange; amounts are exact decimals."""

    day: date
    advertiser: str | None
    campaign_id: int
    campaign: str | None
    exchange: str
    impressions: int
    spend: str
    late_impressions: int
    late_spend: str
    unpriced_impressions: int
    unpriced_spend: str


class LineFault(NamedTuple):
    """A line that is not what the ledger says."""

    day: date
    campaign_id: int
    exchange: str
    impressions: int
    booked_impressions: int
    spend: str
    booked: str
    what: str


def read_lines(
    conn: psycopg.Connection, month: Month, advertiser_id: int | None
) -> list[StatementLine]:
    """Return the lines of a month, of one advertiser or of all, in the order of their days."""
    rows = _queries.lines(conn, since=month.since, until=month.until, advertiser_id=advertiser_id)
    return [_line(row[:5], Charge(*row[5:])) for row in rows]


def check_lines(
    pool: ConnectionPool[psycopg.Connection], month: Month, wait_sec: float
) -> list[LineFault]:
    """Return the lines of a month that are not what the ledger says. Safe beside running daemons.

    What is on its way through Kafka has ``wait_sec`` to arrive, and relays wait meanwhile. A line
    may never have more than the ledger. Raises StoreUnavailableError.
    """
    store, between = StatementLines(), (month.since, month.until)
    found: list[LineFault] = []
    with postgres_errors("read the ledger"), closing(moments(pool, wait_sec)) as looks:
        for conn, untold in looks:
            # The ledger after the lines: it has all that they have.
            lines = store.read(conn, *between)
            least = store.booked(conn, *between, untold=untold)
            most = store.booked(conn, *between, untold=True)
            over = list(_faults(lines, most, gt, "more than the ledger has"))
            found = sorted([*over, *_faults(lines, least, lt, "less than the ledger has")])
            if over or not found:
                break
    return found


def _faults(
    lines: Lines, ledger: Lines, is_wrong: Callable[[int, int], bool], what: str
) -> Iterator[LineFault]:
    for key in lines.keys() | ledger.keys():
        line, booked = lines.get(key, Charge()), ledger.get(key, Charge())
        if any(map(is_wrong, astuple(line), astuple(booked))):
            yield LineFault(
                *key,
                line.impressions,
                booked.impressions,
                format_nanos(line.spend_nanos),
                format_nanos(booked.spend_nanos),
                what,
            )


def _line(about: tuple[date, str | None, int, str | None, str], charge: Charge) -> StatementLine:
    return StatementLine(
        *about,
        charge.impressions,
        format_nanos(charge.spend_nanos),
        charge.late_impressions,
        format_nanos(charge.late_spend_nanos),
        charge.unpriced_impressions,
        format_nanos(charge.unpriced_spend_nanos),
    )
