"""Looking at how exchanges' prices were read lately, so that a wrong setting does not go unseen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from adctl.delivery.exchange_prices import LOW_PERCENT, ExchangePrices
from adctl.delivery.tracking import BILLING_KIND
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.alarms import AlarmKind
    from adctl.config_exchange import ExchangeSettings
    from adctl.config_notices import AlarmSettings

_LOOKED_AT = timedelta(hours=1)
# Events of a campaign: enough to tell, however many it has.
_NEWEST = 2_000
# A bid is billed on the day it was made, or soon after.
_DAYS = 3

_queries = load_queries("queries/exchange_prices.sql")


class PriceWatch:
    """Raises an alarm when an exchange's prices begin to look odd. For one thread.

    What was odd at the last look is not raised again before it was fine; it is forgotten with the
    process.
    """

    def __init__(
        self,
        pool: ConnectionPool[psycopg.Connection],
        settings: AlarmSettings,
        exchanges: Mapping[str, ExchangeSettings],
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._billing = {
            name: BILLING_KIND[exchange.billing_event] for name, exchange in exchanges.items()
        }
        self._told: set[tuple[str, AlarmKind]] = set()

    def look(self, now: datetime) -> list[ExchangePrices]:
        """Raise what was not so at the last look; return all exchanges that were looked at.

        ``now`` is of UTC. Raises StoreUnavailableError; it is found again then.
        """
        percent, least = self._settings.prices_percent, self._settings.prices_least
        with postgres_errors("look at prices"), self._pool.connection() as conn:
            found = self._read(conn, now)
            odd = {
                (prices.exchange, kind): events
                for prices in found
                for kind, events in prices.odd(percent, least)
            }
            for (exchange, kind), events in odd.items():
                if (exchange, kind) not in self._told:
                    _queries.raise_price_alarm(
                        conn,
                        kind=kind,
                        exchange=exchange,
                        percent=percent,
                        # A pacer that was started again finds it once more: not twice in a minute.
                        scope=f"{exchange} {now:%Y-%m-%dT%H:%M}",
                        at=now,
                        events=events,
                    )
        self._told = set(odd)
        return found

    def _read(self, conn: psycopg.Connection, now: datetime) -> list[ExchangePrices]:
        rows = _queries.exchange_prices(
            conn,
            newest=_NEWEST,
            since=now - _LOOKED_AT,
            days=[(now - timedelta(days=ago)).date() for ago in range(-1, _DAYS)],
            low_percent=LOW_PERCENT,
            exchanges=list(self._billing),
            kinds=list(self._billing.values()),
            usual_kind=self._billing["default"],
        )
        return [ExchangePrices(*row) for row in rows]
