"""What the pacer does: steer bids, begin days, give back what nobody won, mend the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.control.spreading import spread
from adctl.delivery.pacing import local_day, pacing_ppm
from adctl.delivery.pricing import (
    PRIOR_CTR_IMPRESSIONS,
    PRIOR_CTR_PPM,
    PRIOR_CVR_CLICKS,
    PRIOR_CVR_PPM,
    smoothed_rate_ppm,
)
from adctl.models import Factors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from adctl.config import MoneySettings
    from adctl.models import Campaign
    from adctl.stores.budgets import Budgets, BudgetState
    from adctl.stores.catalog import CatalogStore, Known
    from adctl.stores.steering import LiveCounts, SteeringStore

    Watch = Callable[[Mapping[int, Campaign], Mapping[int, BudgetState], datetime], None]


# Of so many campaigns at a time Redis is asked what they have; bids wait until it has answered.
_AT_ONCE = 50


class Pacer:
    """Steers what Redis holds. Every method may be called again at once; none loses anything.

    Steering is spread over ``over_sec``. All raise StoreUnavailableError. ``now`` is aware.
    """

    def __init__(
        self,
        catalog: CatalogStore,
        budgets: Budgets,
        steering: SteeringStore,
        watch: Watch | None = None,
        over_sec: float = 0.0,
    ) -> None:
        self._watch = watch
        self._over_sec = over_sec
        self._known: dict[int, Known] = {}
        # The day that each campaign was last seen to be in, so that not all are read every time.
        self._begun: dict[int, str] = {}
        self._catalog = catalog
        self._budgets = budgets
        self._steering = steering

    def steer(self, now: datetime) -> int:
        """Tell bidders each active campaign's factors; return how many campaigns that were.

        Whoever watches campaigns' money is shown it afterwards.
        """
        campaigns = self._active()
        states: dict[int, BudgetState] = {}
        factors: dict[int, Factors] = {}
        for some in spread(list(campaigns), _AT_ONCE, self._over_sec):
            read, counts = self._budgets.read(some), self._steering.live_counts(some)
            states |= read
            for campaign_id, state in read.items():
                campaign, live = campaigns[campaign_id], counts[campaign_id]
                factors[campaign_id] = factors_of(campaign, state, live, now)
        self._begun = {campaign_id: state.day for campaign_id, state in states.items()}
        self._steering.write(factors)
        if self._watch is not None:
            self._watch(campaigns, states, now)
        return len(campaigns)

    def roll_days(self, now: datetime) -> int:
        """Begin the day of every active campaign whose zone has reached it; return how many."""
        # Steering reads them all every second.
        known = {number: one.campaign for number, one in self._known.items()} or self._active()
        days = {
            campaign_id: day
            for campaign_id, campaign in known.items()
            if self._begun.get(campaign_id)
            != (day := local_day(campaign.timezone, now)).isoformat()
        }
        rolled = 0
        for campaign_id, state in self._budgets.read(days).items():
            if state.day < days[campaign_id].isoformat():
                rolled += self._budgets.roll_day(campaign_id, days[campaign_id])
        return rolled

    def rebalance(self) -> int:
        """Bring money to the shards that have run dry; return how many transfers that took."""
        return self._budgets.rebalance()

    def expire(self, now: datetime, money: MoneySettings) -> int:
        """Give back reservations that nobody has won or lost in time; return the buckets."""
        oldest_sec = int(now.timestamp()) - money.reservation_ttl_sec
        return self._budgets.expire(oldest_sec // money.reservation_bucket_sec)

    def retire(self, now: datetime, token_ttl_sec: int, bucket_sec: int) -> int:
        """Forget expired bids once the tracker refuses their tokens; return the buckets."""
        return self._budgets.retire((int(now.timestamp()) - token_ttl_sec) // bucket_sec)

    def needs_sync(self) -> bool:
        """Return whether Redis has lost the catalog, or the money of a campaign in it."""
        active = self._catalog.active_ids()
        return active is None or not self._budgets.have_all(active)

    def _active(self) -> dict[int, Campaign]:
        # Several threads may do so at once: each makes what is known anew.
        self._known = known = self._catalog.read_again(
            self._catalog.active_ids() or (), self._known
        )
        return {campaign_id: one.campaign for campaign_id, one in known.items()}


def factors_of(
    campaign: Campaign, state: BudgetState, counts: LiveCounts, now: datetime
) -> Factors:
    """Return a campaign's factors at ``now``.

    A state that is still of yesterday has spent nothing today.
    """
    today = local_day(campaign.timezone, now).isoformat()
    spent_nanos = state.day_spent if state.day == today else 0
    return Factors(
        pacing_ppm=pacing_ppm(campaign, state.day_budget, spent_nanos, now),
        ctr_ppm=smoothed_rate_ppm(
            counts.clicks, counts.impressions, PRIOR_CTR_PPM, PRIOR_CTR_IMPRESSIONS
        ),
        cvr_ppm=smoothed_rate_ppm(
            counts.conversions, counts.clicks, PRIOR_CVR_PPM, PRIOR_CVR_CLICKS
        ),
    )
