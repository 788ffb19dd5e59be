"""Looking at how exchanges' prices were read lately, so that a wrong setting does not go unseen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from adctl.delivery.exchange_prices import LOW_PERCENT, ExchangePrices
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.config_notices import AlarmSettings

_LOOKED_AT = timedelta(hours=1)
# Entries of the ledger, from its end: half as many impressions, or fewer.
_NEWEST = 20_000
# A bid is billed on the day it was made, or soon after.
_DAYS = 3

_queries = load_queries("queries/exchange_prices.sql")


def raise_price_alarms(
    pool: ConnectionPool[psycopg.Connection], settings: AlarmSettings, now: datetime
) -> list[ExchangePrices]:
    """Raise an alarm of each exchange whose prices look odd; return all that were looked at.

    Once for each exchange, for each way in which they are odd, and each UTC day. Raises
    StoreUnavailableError.
    """
    with postgres_errors("look at prices"), pool.connection() as conn:
        found = read_prices(conn, now)
        for prices in found:
            for kind, events in prices.odd(settings.prices_percent, settings.prices_least):
                _queries.raise_price_alarm(
                    conn,
                    kind=kind,
                    exchange=prices.exchange,
                    percent=settings.prices_percent,
                    scope=f"{prices.exchange} {now.date().isoformat()}",
                    at=now,
                    events=events,
                )
    return found


def read_prices(conn: psycopg.Connection, now: datetime) -> list[ExchangePrices]:
    """Return how each exchange's newest prices of the last hour were read; ``now`` is of UTC."""
    days = [(now - timedelta(days=ago)).date() for ago in range(-1, _DAYS)]
    rows = _queries.exchange_prices(
        conn, newest=_NEWEST, since=now - _LOOKED_AT, days=days, low_percent=LOW_PERCENT
    )
    return [ExchangePrices(*row) for row in rows]
