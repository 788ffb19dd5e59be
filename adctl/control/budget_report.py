"""Every campaign's money as Redis has it now, beside what the ledger in PostgreSQL says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.control.invariants import bound_of
from adctl.models import Factors
from adctl.money import format_nanos
from adctl.stores.budgets import BudgetState
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    import psycopg

    from adctl.stores.budgets import Budgets
    from adctl.stores.steering import SteeringStore

_PPM_PER_PERCENT = 10_000


class CampaignBudget(NamedTuple):
    """One campaign's money. ``state`` and ``factors`` are None where Redis has none."""

    campaign_id: int
    campaign: str
    status: str
    ledger_spent_nanos: int
    late_margin_nanos: int
    state: BudgetState | None
    factors: Factors | None

    @property
    def unflushed_nanos(self) -> int | None:
        """What Redis has booked and the ledger has not: events on their way, if all is well."""
        return self.state.spent - self.ledger_spent_nanos if self.state else None

    @property
    def at_most_nanos(self) -> int | None:
        """How far beyond its budget the campaign can come, by wins that come late."""
        return bound_of(self.state, self.late_margin_nanos).at_most if self.state else None

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, amounts as exact decimals."""
        return {
            "campaign_id": self.campaign_id,
            "campaign": self.campaign,
            "status": self.status,
            **_live(self.state),
            "late_margin": format_nanos(self.late_margin_nanos),
            "overspend_at_most": _amount(self.at_most_nanos),
            "ledger_spent": format_nanos(self.ledger_spent_nanos),
            "not_flushed": _amount(self.unflushed_nanos),
            "pacing": f"{self.factors.pacing_ppm / _PPM_PER_PERCENT:g}%" if self.factors else None,
            "adds_up": self.state.adds_up if self.state else None,
        }


def read_budgets(
    conn: psycopg.Connection,
    budgets: Budgets,
    steering: SteeringStore,
    campaign_id: int | None = None,
) -> list[CampaignBudget]:
    """Return the money of every campaign that is not archived, or of the one asked for.

    Raises StoreUnavailableError.
    """
    # The ledger first: spend reaches Redis before the ledger, so what comes in between shows as
    # not flushed, never as spend that Redis has lost.
    with postgres_errors("read the ledger"):
        queries = load_queries("queries/budgets.sql")
        rows = list(queries.campaign_spend(conn, campaign_id=campaign_id))
    ids = [row[0] for row in rows]
    states, factors = budgets.read(ids), steering.read(ids)
    return [
        CampaignBudget(
            number, name, status, spent_nanos, margin, states.get(number), factors.get(number)
        )
        for number, name, status, margin, spent_nanos in rows
    ]


def _live(state: BudgetState | None) -> dict[str, object]:
    if state is None:
        return dict.fromkeys(BudgetState.__struct_fields__)
    amounts = msgspec.to_builtins(state)
    return {
        name: value if name == "day" else format_nanos(value) for name, value in amounts.items()
    }


def _amount(nanos: int | None) -> str | None:
    return None if nanos is None else format_nanos(nanos)
