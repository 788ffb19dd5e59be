"""Whether what consumers have built is what the event table and the ledger say, to the byte."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

from adctl.control.rebuilding import GroupRebuilder, RollupRebuilder, StatementRebuilder
from adctl.demo.summary import Check
from adctl.stores.keys import events

if TYPE_CHECKING:
    from collections.abc import Callable


class _Built(NamedTuple):
    """A table that a consumer group builds, what makes it anew, and what that does not know of."""

    table: str
    rebuilder: type[GroupRebuilder]
    untold: str = ""


_BUILT = (
    # Bids come from the decision log, which PostgreSQL does not hold.
    _Built("rollup_delivery", RollupRebuilder, "bids"),
    _Built("rollup_landscape", RollupRebuilder, "bids"),
    _Built("statement_line", StatementRebuilder),
)
_TOTALS = """
    SELECT (SELECT count(*) FROM event
            WHERE NOT test AND kind IN ('win', 'loss', 'impression', 'click', 'conversion')),
           (SELECT coalesce(sum(cost_nanos), 0) FROM event WHERE NOT test),
           (SELECT coalesce(sum(wins + losses + impressions + clicks + conversions), 0)
            FROM rollup_delivery),
           (SELECT coalesce(sum(spend_nanos), 0) FROM rollup_delivery)
"""


_CHARGED = """
    SELECT (SELECT coalesce(sum(amount_nanos), 0) FROM ledger_entry
            WHERE account = 'campaign' AND kind = 'spend'),
           (SELECT coalesce(sum(spend_nanos), 0) FROM statement_line)
"""


def rebuilt_checks(
    postgres_url: str, tend: Callable[[], None], within_sec: float
) -> tuple[Check, ...]:
    """Return a check for every table. What differs has ``within_sec`` to change by itself."""
    deadline = time.monotonic() + within_sec
    with ConnectionPool(postgres_url, min_size=1, max_size=1) as pool:
        while True:
            checks = (*(_check(pool, built) for built in _BUILT), _totals(pool), _charged(pool))
            if all(check.holds for check in checks) or time.monotonic() > deadline:
                return checks
            tend()
            time.sleep(0.3)


def _check(pool: ConnectionPool[psycopg.Connection], built: _Built) -> Check:
    """Rebuild in a transaction that is undone, and compare before with after."""
    rebuilder = built.rebuilder(pool, events(0))
    with rebuilder.one_moment() as conn:
        before = _rows(conn, built)
        rebuilder.rebuild_in(conn)
        after = _rows(conn, built)
        raise psycopg.Rollback
    found = f"{len(before ^ after)} differ, of {len(after)}"
    return Check(f"{built.table} is what a rebuild makes of it", before == after, found)


def _rows(conn: psycopg.Connection, built: _Built) -> set[str]:
    query = f"SELECT (to_jsonb(t) - %s)::text FROM {built.table} AS t"
    return {row for (row,) in conn.execute(query, [built.untold])}


def _totals(pool: ConnectionPool[psycopg.Connection]) -> Check:
    """Count for ourselves: a rebuild that is wrong in the same way would not be noticed."""
    with pool.connection() as conn:
        events_, cost_nanos, counted, spend_nanos = conn.execute(_TOTALS).fetchone() or ()
    told = f"{counted} of {events_} events, {spend_nanos} of {cost_nanos} nanos"
    same = (events_, cost_nanos) == (counted, spend_nanos)
    return Check("the rollups' sums are the events'", same, told)


def _charged(pool: ConnectionPool[psycopg.Connection]) -> Check:
    with pool.connection() as conn:
        booked_nanos, charged_nanos = conn.execute(_CHARGED).fetchone() or ()
    told = f"{charged_nanos} of {booked_nanos} nanos"
    return Check("the statement lines' sum is the ledger's", booked_nanos == charged_nanos, told)
