"""What programs ask of PostgreSQL by themselves, one statement or a few at a time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.control.publishing import read_documents
from adctl.stores.erasures import Erasures
from adctl.stores.ledger import read_balances
from adctl.stores.positions import POSTGRES
from adctl.stores.postgres import load_queries
from adctl.stores.rollups import Rollups
from adctl.stores.statement_lines import StatementLines
from adctl.stores.stream import stream_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Statement = Callable[[psycopg.Connection], object]

_control = load_queries("queries/control_documents.sql")
_proof = load_queries("queries/proof.sql")
_grants = load_queries("queries/grants.sql")
_events = load_queries("queries/events.sql")
_relay = load_queries("queries/relay_batches.sql")
_rejected = load_queries("queries/rejected_events.sql")
_retention = load_queries("queries/retention.sql")
_reports = load_queries("reports/statements.sql")
_budgets = load_queries("queries/budgets.sql")
_price_watch = load_queries("queries/exchange_prices.sql")
_PORTION = 1_000
_ROUNDS = 3


BY_EVENTS = ("pacer: an hour against its events", "pacer: prices of the last hour")
"""Those that look at the events of an hour, of which there are more where there are more."""


class Timed(NamedTuple):
    """A statement, and the quickest of a few times it was asked, in milliseconds."""

    name: str
    took_ms: float


def measure(postgres_url: str, days: int) -> Iterator[Timed]:
    """Ask everything a few times of a database filled with that many days. Changes nothing."""
    with psycopg.connect(postgres_url, options="-c timezone=UTC") as conn:
        for name, ask in statements(conn, days).items():
            took = []
            for _ in range(_ROUNDS):
                began = time.perf_counter()
                ask(conn)
                took.append((time.perf_counter() - began) * 1000)
                conn.rollback()
            yield Timed(name, min(took))


def statements(conn: psycopg.Connection, days: int) -> dict[str, Statement]:
    """Return what is asked, by who asks what: of as much as changed, whatever there is."""
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    # Of one day long ago, as late events are, and those that are told again.
    day = now.date() - timedelta(days=days // 3)
    newest = conn.execute(
        "SELECT event_date, event_id FROM event WHERE event_date = %s LIMIT %s", [day, _PORTION]
    ).fetchall()
    conn.rollback()
    dates, ids = [row[0] for row in newest], [row[1] for row in newest]
    some = list(range(1, 201))
    hour = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    lines, rollups, erasures = StatementLines(), Rollups(), Erasures()
    return {
        "flusher: 1,000 events, all of them again": partial(_store_again, dates=dates, ids=ids),
        "flusher, reconciler: are 1,000 events stored": partial(
            _all, _events.stored, dates=dates, ids=ids
        ),
        "relay: 1,000 events of their rows": partial(_relayed, dates=dates, ids=ids),
        "billing: when 1,000 events were booked": partial(lines.booked_on, event_ids=ids),
        "pacer: what 200 campaigns spent": partial(
            _all,
            _control.spent,
            campaign_ids=some,
            days_began=[midnight] * len(some),
            streams=stream_keys(1),
            reader=POSTGRES,
        ),
        "pacer, api: documents of 200 campaigns": partial(
            read_documents, campaign_ids=some, now=now
        ),
        "pacer: changes that wait": partial(_all, _control.unwritten, batch_size=200),
        "pacer: prepaid campaigns": partial(_all, _grants.purses, advertiser_ids=None),
        "pacer: rejected events": partial(_all, _rejected.count),
        "pacer: books of all campaigns": partial(_all, _proof.campaigns),
        "pacer: does the ledger balance": _proof.unbalanced,
        "pacer: hours of a week": lambda conn: rollups.hours(conn, now - timedelta(days=7), now),
        "pacer: an hour against its events": lambda conn: rollups.differences(
            conn, hour, untold=True
        ),
        "pacer: prices of the last hour": partial(
            _all,
            _price_watch.exchange_prices,
            newest=2_000,
            since=now - timedelta(hours=1),
            days=[now.date() - timedelta(days=ago) for ago in range(-1, 3)],
            low_percent=1,
            exchanges=["default"],
            kinds=["impression"],
            usual_kind="impression",
        ),
        "pacer: days that could be dropped": partial(_all, _retention.days),
        "user forget: whose events": lambda conn: erasures.count(conn, "0" * 32),
        "budget list: the ledger's side": partial(_all, _budgets.campaign_spend, campaign_id=None),
        "advertiser list: balances of 200": lambda conn: read_balances(conn, some),
        "advertiser statement: opening of today": lambda conn: _reports.balance_since(
            conn, advertiser_id=7, since=midnight
        ),
    }


def _all(query: Callable[..., object], conn: psycopg.Connection, **parameters: object) -> object:
    found = query(conn, **parameters)
    return list(found) if hasattr(found, "__iter__") else found


def _store_again(conn: psycopg.Connection, dates: list[object], ids: list[str]) -> None:
    """Do what EventStore does of a batch that is stored already."""
    _events.create_incoming(conn)
    conn.execute(
        "INSERT INTO incoming_event SELECT e.* FROM unnest(%s::date[], %s::text[]) AS a (d, i), "
        "LATERAL (SELECT * FROM event WHERE event_date = d AND event_id = i LIMIT 1) AS e",
        [dates, ids],
    )
    _events.store_incoming(conn, stream="bench", last_id="1-1")
    _events.note_recounted(conn)


def _relayed(conn: psycopg.Connection, dates: list[object], ids: list[str]) -> None:
    row = conn.execute(
        "INSERT INTO relay_batch (stream, last_id, events, event_dates, event_ids) "
        "VALUES ('bench', '1-1', %s, %s, %s) RETURNING id",
        [len(ids), dates, ids],
    ).fetchone()
    list(_relay.events_of(conn, ids=[row[0] if row else 0]))
