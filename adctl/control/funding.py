"""Keeping prepaid advertisers within what they have paid in, second by second."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from adctl.control.accounting import set_funded
from adctl.control.allotment import Account, Purse, raises, should_serve, withdrawals
from adctl.control.publishing import sync_budgets
from adctl.delivery.pricing import PPM, PRIOR_CTR_PPM, PRIOR_CVR_PPM
from adctl.models import BidStrategy
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.control.plane import ControlPlane
    from adctl.stores.budgets import BudgetState

log = structlog.get_logger()

_ACTOR = "pacer"
# What 1,000 impressions are expected to bring of what a campaign pays for, before there is data.
_EXPECTED_PPM = {
    BidStrategy.CPM: PPM,
    BidStrategy.CPC: PRIOR_CTR_PPM * 1_000,
    BidStrategy.CPA: PRIOR_CTR_PPM * PRIOR_CVR_PPM * 1_000 // PPM,
}

_queries = load_queries("queries/grants.sql")


class Funding:
    """Grants prepaid campaigns their budgets, and stops and starts them. Any number may run."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], plane: ControlPlane) -> None:
        self._pool = pool
        self._plane = plane

    def fund(self) -> int:
        """Do what the balances ask for; return how many advertisers were stopped or started.

        Money is taken from a campaign first, in PostgreSQL and in Redis, and only what Redis then
        says is not spent nor promised goes to another one. So grants never exceed the funds, even
        if this is cut short anywhere. Raises StoreUnavailableError.
        """
        turned = 0
        for account in self._look(None):
            if self._is_settled(account):
                continue
            number = account.advertiser_id
            self._change(number, withdrawals)
            self._change(number, raises)
            turned += any(self._turn(one) for one in self._look([number]))
        return turned

    def _look(self, advertiser_ids: Sequence[int] | None) -> list[Account]:
        with postgres_errors("read balances"), self._pool.connection() as conn:
            return self._accounts(conn, advertiser_ids)

    def _accounts(
        self, conn: psycopg.Connection, advertiser_ids: Sequence[int] | None
    ) -> list[Account]:
        rows = list(_queries.purses(conn, advertiser_ids=advertiser_ids))
        # After the ledger: it books what Redis has counted before.
        numbers = [row[4] for row in rows]
        states, owed = self._plane.budgets.read(numbers), self._plane.budgets.owed(numbers)
        return [
            Account(
                advertiser_id=number,
                fee_ppm=fee_ppm,
                funded=funded,
                balance=int(balance),
                purses=tuple(_purse(states, owed, *row[4:]) for row in group),
            )
            for (number, fee_ppm, funded, balance), group in groupby(rows, lambda row: row[:4])
        ]

    def _is_settled(self, account: Account) -> bool:
        return (
            not _lagging(account)
            and not withdrawals(account)
            and not raises(account)
            and should_serve(account) == account.funded
        )

    def _change(self, number: int, choose: Callable[[Account], dict[int, int]]) -> None:
        with postgres_errors("grant budgets"), self._pool.connection() as conn, conn.transaction():
            # Those who are writing these budgets to Redis finish first; the others wait for us.
            _queries.lock_prepaid(conn, advertiser_id=number)
            for account in self._accounts(conn, [number]):
                chosen = choose(account)
                _queries.grant(conn, campaign_ids=list(chosen), amounts=list(chosen.values()))
                self._sync(conn, {*chosen, *_lagging(account)})

    def _sync(self, conn: psycopg.Connection, campaign_ids: Iterable[int]) -> None:
        sync_budgets(conn, self._plane.budgets, campaign_ids, datetime.now(UTC))

    def _turn(self, account: Account) -> bool:
        serve = should_serve(account)
        if serve == account.funded:
            return False
        log.info("prepaid advertiser", advertiser_id=account.advertiser_id, funded=serve)
        return set_funded(self._plane, _ACTOR, account.advertiser_id, funded=serve)


def _purse(  # one campaign of the query
    states: Mapping[int, BudgetState],
    owed: Mapping[int, int],
    campaign_id: int,
    live: bool,
    strategy: str,
    amount_micros: int,
    total: int,
    granted: int,
    booked: int,
    rejected: int,
) -> Purse:
    # A CPM in micros is the price of one impression in nanos.
    bid = amount_micros * _EXPECTED_PPM[BidStrategy(strategy)] // PPM
    state = states.get(campaign_id)
    return Purse(
        campaign_id,
        live,
        bid,
        total,
        granted,
        int(booked),
        state,
        owed.get(campaign_id, 0),
        int(rejected),
    )


def _lagging(account: Account) -> list[int]:
    """Return the campaigns of which Redis has another budget than is in force."""
    return [
        one.campaign_id for one in account.purses if one.state and one.state.budget != one.allowed
    ]
