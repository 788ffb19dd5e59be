"""How a prepaid advertiser's money is divided among its campaigns: nothing but arithmetic.

What a campaign may spend is granted to it. All grants together never exceed what was paid in, so
neither can what is spent, but for wins that come late. Amounts are nanos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.budgets import BudgetState

if TYPE_CHECKING:
    from collections.abc import Mapping

PPM = 1_000_000
# A campaign that has been stopped would otherwise start and stop with every bid that is lost.
IMPRESSIONS_TO_START = 50


class Purse(NamedTuple):
    """One campaign's part. ``booked`` is its spend in the ledger, ``state`` its money in Redis.

    ``bid`` is what it bids for one impression. It is ``live`` if only money can keep it from that.
    ``owed`` is what its shards can still spend beyond the budget, ``rejected`` what is still to be
    booked of events that PostgreSQL refused.
    """

    campaign_id: int
    live: bool
    bid: int
    total: int
    granted: int
    booked: int
    state: BudgetState | None
    owed: int = 0
    rejected: int = 0

    @property
    def allowed(self) -> int:
        """Its budget in force."""
        return min(self.total, self.granted)

    @property
    def used(self) -> int:
        """What it has spent or promised."""
        if self.state:
            return self.state.spent + self.state.reserved
        return self.booked + self.rejected

    @property
    def held(self) -> int:
        """The most it may come to have spent, by what Redis was told last too."""
        return max(self.allowed, self.used, self.state.budget + self.owed if self.state else 0)


class Account(NamedTuple):
    """A prepaid advertiser. ``balance`` is the ledger's."""

    advertiser_id: int
    fee_ppm: int
    funded: bool
    balance: int
    purses: tuple[Purse, ...]

    @property
    def funds(self) -> int:
        """All that its campaigns may ever have spent: the rest of the balance has to pay the fee.

        The same whether spend has reached the ledger yet or not, but for a nano.
        """
        return sum(one.booked for one in self.purses) + self.balance * PPM // (PPM + self.fee_ppm)

    @property
    def left(self) -> int:
        """What is neither spent nor promised."""
        return self.funds - sum(one.used for one in self.purses)

    @property
    def free(self) -> int:
        """What could still be granted."""
        return self.funds - sum(one.held for one in self.purses)


def targets(account: Account) -> dict[int, int]:
    """Return what each campaign should be granted; nothing if all can stay as it is.

    What is left is shared evenly, and no campaign gets more than its own budget. That is done when
    one has less than half its share, or when more is granted than there is.
    """
    wants = {one.campaign_id: max(0, one.total - one.used) for one in account.purses if one.live}
    shares = _shares(max(0, account.left), wants)
    starving = any(
        2 * (one.allowed - one.used) < shares[one.campaign_id] for one in account.purses if one.live
    )
    if not starving and account.free >= 0:
        return {}
    return {one.campaign_id: one.used + shares.get(one.campaign_id, 0) for one in account.purses}


def withdrawals(account: Account) -> dict[int, int]:
    """Return the grants to lower, and to what. Nothing of it is free before Redis knows of it."""
    wanted = targets(account)
    return {
        one.campaign_id: wanted[one.campaign_id]
        for one in account.purses
        if wanted and one.granted > wanted[one.campaign_id]
    }


def raises(account: Account) -> dict[int, int]:
    """Return the grants of live campaigns to raise, and to what, from what is free."""
    wanted, free = targets(account), max(0, account.free)
    raised: dict[int, int] = {}
    for one in account.purses:
        granted = min(wanted.get(one.campaign_id, 0), one.total, one.held + free)
        if one.live and granted > one.allowed:
            raised[one.campaign_id] = granted
            free -= max(0, granted - one.held)
    return raised


def should_serve(account: Account) -> bool:
    """Return whether the advertiser's campaigns may bid.

    They stop when what is left does not pay for one impression of each at the lowest bid, and start
    again when it pays for fifty of each.
    """
    bids = [one.bid for one in account.purses if one.live and one.used < one.total]
    needed = len(bids) * min(bids, default=1)
    return account.left >= max(1, needed if account.funded else IMPRESSIONS_TO_START * needed)


def _shares(left: int, wants: Mapping[int, int]) -> dict[int, int]:
    shares: dict[int, int] = {}
    for place, (campaign_id, want) in enumerate(sorted(wants.items(), key=lambda one: one[1])):
        shares[campaign_id] = min(want, left // (len(wants) - place))
        left -= shares[campaign_id]
    return shares
