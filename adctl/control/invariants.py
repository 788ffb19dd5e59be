"""What must always hold of the money, in words and as checks of one campaign's books."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.money import format_nanos

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from adctl.stores.books import CampaignBooks
    from adctl.stores.budgets import BudgetState

STATE = "money_state"
FLIGHT = "flight_adds_up"
DAY = "day_adds_up"
CONFIGURED = "budget_as_configured"
RESERVED = "reserved_in_buckets"
EXPOSED = "exposed_in_buckets"
SIGNS = "nothing_negative"
BOOKED = "spend_is_booked"
OVERSPEND = "overspend_is_late"
ENTRIES = "ledger_balances"
STREAM = "stream_is_whole"
REJECTED = "nothing_rejected"

STATEMENTS = {
    STATE: "every campaign that serves has its money in Redis",
    FLIGHT: "spent + reserved + available = budget",
    DAY: "day_spent + reserved + day_available = day_budget",
    CONFIGURED: "a budget in Redis is the one in PostgreSQL",
    RESERVED: "reserved = what the buckets of bids hold",
    EXPOSED: "exposed = what the expired buckets of bids hold",
    SIGNS: "spent, reserved, late, exposed and cut are not negative",
    BOOKED: "spent in Redis = ledger + events on their way to it + rejected events",
    OVERSPEND: "what is over a budget was billed late, or the budget was cut",
    ENTRIES: "the entries of the ledger add up to 0",
    STREAM: "PostgreSQL has every event the stream has forgotten",
    REJECTED: "no event that costs something, or may, was refused by PostgreSQL",
}
"""Every invariant, by name."""


class LedgerBooks(NamedTuple):
    """A campaign as PostgreSQL has it; budgets and spend in nanos.

    ``budget`` is what it may bid with; ``margin`` is held back beside it for wins that come late.
    ``rejected`` is the cost of its events that were rejected, and are to be booked yet.
    """

    campaign_id: int
    campaign: str
    budget: int
    day_budget: int
    margin: int
    serving: bool
    spent: int
    rejected: int = 0


class Breach(NamedTuple):
    """An invariant that does not hold, of one campaign or (id 0) of the whole.

    ``expected`` and ``found`` are nanos, or texts.
    """

    invariant: str
    campaign_id: int
    campaign: str
    expected: int | str
    found: int | str

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, amounts as exact decimals."""
        return {
            "invariant": self.invariant,
            "campaign_id": self.campaign_id or None,
            "campaign": self.campaign,
            "expected": _shown(self.expected),
            "found": _shown(self.found),
        }


class Bound(NamedTuple):
    """How much can be overspent, in nanos.

    ``over_budget`` is what campaigns are beyond their budgets, ``late`` what was billed after its
    reservation was gone, ``exposed`` what expired bids could still cost; ``at_most`` is how far
    beyond their budgets campaigns can come if all of that is billed.
    """

    over_budget: int
    late: int
    exposed: int
    at_most: int

    def fields(self) -> dict[str, object]:
        """Return the amounts as exact decimals."""
        return {name: format_nanos(nanos) for name, nanos in self._asdict().items()}


NO_BOUND = Bound(0, 0, 0, 0)


def breaches(ledger: LedgerBooks, books: CampaignBooks) -> Iterator[Breach]:
    """Yield what does not hold of one campaign, by what both stores say of it."""
    state = books.state
    if ledger.rejected:
        yield Breach(REJECTED, ledger.campaign_id, ledger.campaign, 0, ledger.rejected)
    if state is None:
        # A campaign that never served need not have any; spend without a state is lost money.
        if ledger.serving:
            yield Breach(STATE, ledger.campaign_id, ledger.campaign, ledger.budget, "nothing")
        return
    for invariant, expected, found in _equations(ledger, books, state):
        if expected != found:
            yield Breach(invariant, ledger.campaign_id, ledger.campaign, expected, found)
    least = min(state.spent, state.reserved, state.late, state.exposed, state.cut)
    if least < 0:
        yield Breach(SIGNS, ledger.campaign_id, ledger.campaign, 0, least)
    if -state.available > state.late + state.cut:
        most = state.late + state.cut
        yield Breach(OVERSPEND, ledger.campaign_id, ledger.campaign, most, -state.available)


def _equations(
    ledger: LedgerBooks, books: CampaignBooks, state: BudgetState
) -> Iterator[tuple[str, int, int]]:
    yield FLIGHT, state.budget, state.spent + state.reserved + state.available
    yield DAY, state.day_budget, state.day_spent + state.reserved + state.day_available
    yield CONFIGURED, ledger.budget, state.budget
    yield CONFIGURED, ledger.day_budget, state.day_budget
    yield RESERVED, books.reserved, state.reserved
    yield EXPOSED, books.exposed, state.exposed
    yield BOOKED, ledger.spent + books.unflushed + ledger.rejected, state.spent


def bound_of(state: BudgetState, margin: int) -> Bound:
    """Return how much one campaign can be over its budget, which includes the margin."""
    beyond = max(0, -state.available)
    return Bound(
        over_budget=max(0, beyond - margin),
        late=state.late,
        exposed=state.exposed,
        # What is still available may be bid with before expired bids are billed.
        at_most=max(0, beyond + state.exposed - margin),
    )


def bound(pairs: Iterable[tuple[LedgerBooks, CampaignBooks]]) -> Bound:
    """Return the bound of all campaigns together: what each can be over is added up."""
    bounds = [bound_of(held.state, of.margin) for of, held in pairs if held.state]
    return Bound(*(sum(amounts) for amounts in zip(*bounds, strict=True))) if bounds else NO_BOUND


def _shown(value: int | str) -> str:
    return value if isinstance(value, str) else format_nanos(value)
