"""The catalog a bidder decides on: campaigns, their index, and what each would bid just now."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import accumulate
from typing import TYPE_CHECKING, Self

from adctl.delivery.campaign_index import CampaignIndex
from adctl.delivery.pricing import base_bid_micros, bid_cpm_micros, performance_ppm
from adctl.models import Factors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from adctl.delivery.targeting import Format, RequestAttributes
    from adctl.models import Campaign

_NEUTRAL = Factors()


class Catalog:
    """Everything that may be served, at one moment.

    Immutable: every change returns the next catalog, so a bidder that has taken one decides a
    whole request on it while a refresh makes another. Factors of campaigns that are not (or not
    yet) in the catalog are kept.
    """

    def __init__(
        self, index: CampaignIndex, factors: Mapping[int, Factors], bids: list[int] | None = None
    ) -> None:
        self.index = index
        self._factors = factors
        if bids is None:
            bids = [_bid(campaign, factors) for campaign in index.campaigns]
        # By position: a campaign's bid, and the highest bid from there to the end.
        self._bids = bids
        self._ceilings = list(accumulate(reversed(bids), max))[::-1]

    @classmethod
    def build(
        cls, campaigns: Iterable[Campaign] = (), factors: Mapping[int, Factors] | None = None
    ) -> Self:
        """Return the catalog of ``campaigns``, ranked by what they would bid if nothing paced them.

        Raises ZoneInfoNotFoundError or ValueError for a campaign that no validation let through.
        """
        known = dict(factors or {})
        index = CampaignIndex.build(
            campaigns,
            lambda campaign: (
                base_bid_micros(campaign)
                * performance_ppm(campaign, known.get(campaign.id, _NEUTRAL))
            ),
        )
        return cls(index, known)

    def __len__(self) -> int:
        return sum(campaign is not None for campaign in self.index.campaigns)

    def campaign(self, campaign_id: int) -> Campaign | None:
        """Return the campaign with the creatives it may show; None if it may not be served."""
        position = self.index.position_of(campaign_id)
        return None if position is None else self.index.campaigns[position]

    def factors_of(self, campaign_id: int) -> Factors:
        """Return what the pacer set for the campaign; neutral factors until it has."""
        return self._factors.get(campaign_id, _NEUTRAL)

    def dearest_first(
        self, attributes: RequestAttributes, formats: Collection[Format], now_ms: int
    ) -> Iterator[tuple[Campaign, int]]:
        """Yield each campaign that matches and bids, with its bid in CPM micros, dearest first.

        Lazy: who stops after a few pays for little more than those, as long as ranks are about
        right. The order is exact even where factors have overtaken the ranks.
        """
        waiting: list[tuple[int, int]] = []
        for position in self.index.match_positions(attributes, formats, now_ms):
            ceiling = self._ceilings[position]
            while waiting and -waiting[0][0] >= ceiling:
                yield self._priced(heappop(waiting))
            if not ceiling:
                break
            if self._bids[position]:
                heappush(waiting, (-self._bids[position], position))
        while waiting:
            yield self._priced(heappop(waiting))

    def with_campaign(self, campaign: Campaign) -> Catalog:
        """Return a catalog with this campaign added or replaced; without it if it may not serve."""
        return self._next(self.index.with_campaign(campaign), self._factors, [campaign.id])

    def without_campaign(self, campaign_id: int) -> Catalog:
        """Return a catalog without this campaign."""
        return self._next(self.index.without_campaign(campaign_id), self._factors, [campaign_id])

    def with_factors(self, changed: Mapping[int, Factors]) -> Catalog:
        """Return a catalog with these campaigns' factors replaced."""
        return self._next(self.index, {**self._factors, **changed}, changed)

    def _next(
        self, index: CampaignIndex, factors: Mapping[int, Factors], changed: Iterable[int]
    ) -> Catalog:
        bids = [*self._bids, *[0] * (len(index.campaigns) - len(self._bids))]
        for campaign_id in changed:
            for position in {self.index.position_of(campaign_id), index.position_of(campaign_id)}:
                if position is not None:
                    bids[position] = _bid(index.campaigns[position], factors)
        return Catalog(index, factors, bids)

    def _priced(self, waiting: tuple[int, int]) -> tuple[Campaign, int]:
        bid, position = waiting
        campaign = self.index.campaigns[position]
        if campaign is None:
            raise LookupError(f"position {position} matched and is empty")
        return campaign, -bid


def _bid(campaign: Campaign | None, factors: Mapping[int, Factors]) -> int:
    return bid_cpm_micros(campaign, factors.get(campaign.id, _NEUTRAL)) if campaign else 0
