"""The catalog a bidder decides on: campaigns, their index, and what each would bid just now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from adctl.delivery.bid_blocks import BidBlocks
from adctl.delivery.campaign_index import CampaignIndex, is_near
from adctl.delivery.pricing import bid_cpm_micros, ceiling_micros, uncapped_bid_micros
from adctl.delivery.traits import KnownTraits
from adctl.models import Factors
from adctl.money import MAX_CPM_MICROS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from adctl.delivery.bitmaps import Matches
    from adctl.delivery.targeting import RequestAttributes
    from adctl.models import Campaign

_NEUTRAL = Factors()


class Catalog:
    """Everything that may be served, at one moment.

    Immutable: every change returns the next catalog, so a bidder that has taken one decides a
    whole request on it while a refresh makes another. Factors of campaigns that are not (or not
    yet) in the catalog are kept. ``default_max_micros`` is the ceiling of campaigns that have none
    of their own, see pricing.ceiling_micros: every bid of the catalog is under its ceiling.
    """

    def __init__(
        self,
        index: CampaignIndex,
        factors: Mapping[int, Factors],
        bids: BidBlocks,
        traits: KnownTraits,
        cuts: Mapping[int, int],
        default_max_micros: int,
    ) -> None:
        self.index = index
        self.traits = traits
        self.default_max_micros = default_max_micros
        self._factors = factors
        self._bids = bids
        # By how much bids are lowered to their ceilings, of the few campaigns whose bids are.
        self._cuts = cuts

    @classmethod
    def build(
        cls,
        campaigns: Iterable[Campaign] = (),
        factors: Mapping[int, Factors] | None = None,
        default_max_micros: int = MAX_CPM_MICROS,
    ) -> Self:
        """Return the catalog of ``campaigns``, ranked by what they would bid if nothing paced them.

        Raises ZoneInfoNotFoundError or ValueError for a campaign that no validation let through.
        """
        known = dict(factors or {})
        index = CampaignIndex.build(
            campaigns,
            lambda campaign: bid_cpm_micros(
                campaign, _unpaced(known.get(campaign.id, _NEUTRAL)), default_max_micros
            ),
        )
        cuts: dict[int, int] = {}
        bids = [
            _bid(index.at(position), known, default_max_micros, cuts)
            for position in range(index.size)
        ]
        return cls(index, known, BidBlocks.build(bids), KnownTraits(), cuts, default_max_micros)

    def __len__(self) -> int:
        return len(self.index)

    def prepare(self, now_ms: int) -> None:
        """Find out whose flights and hours are open now, so that no request has to."""
        self.index.open_at(now_ms)

    def campaign(self, campaign_id: int) -> Campaign | None:
        """Return the campaign with the creatives it may show; None if it may not be served."""
        position = self.index.position_of(campaign_id)
        return None if position is None else self.index.at(position)

    def factors_of(self, campaign_id: int) -> Factors:
        """Return what the pacer set for the campaign; neutral factors until it has."""
        return self._factors.get(campaign_id, _NEUTRAL)

    def bid_of(self, campaign: Campaign) -> int:
        """Return what a campaign bids for one impression, as a CPM in micros; 0: nothing now."""
        return bid_cpm_micros(campaign, self.factors_of(campaign.id), self.default_max_micros)

    def cut_of(self, campaign_id: int) -> int:
        """Return by how much a campaign's bid for one impression is lowered to its ceiling."""
        return self._cuts.get(campaign_id, 0)

    def dearest_first(
        self, matches: Matches, attributes: RequestAttributes
    ) -> Iterator[tuple[Campaign, int]]:
        """Yield each campaign of ``matches`` that is near and bids, and its bid in CPM micros.

        The dearest come first. ``matches`` are the index's for ``attributes``. Lazy: who stops
        after a few pays for little more than those.
        """
        at = self.index.at
        for negative_bid, position in self._bids.dearest_first(matches):
            campaign = at(position)
            if campaign is not None and (
                not campaign.targeting.radii or is_near(campaign, attributes)
            ):
                yield campaign, -negative_bid

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
        bids, cuts = {}, dict(self._cuts)
        for campaign_id in changed:
            cuts.pop(campaign_id, None)
            for position in (self.index.position_of(campaign_id), index.position_of(campaign_id)):
                if position is not None:
                    bids[position] = _bid(
                        index.at(position), factors, self.default_max_micros, cuts
                    )
        blocks = self._bids.replaced(bids)
        return Catalog(index, factors, blocks, self.traits, cuts, self.default_max_micros)


def _unpaced(factors: Factors) -> Factors:
    return Factors(ctr_ppm=factors.ctr_ppm, cvr_ppm=factors.cvr_ppm)


def _bid(
    campaign: Campaign | None,
    factors: Mapping[int, Factors],
    default_max_micros: int,
    cuts: dict[int, int],
) -> int:
    """Return what a campaign bids; what its ceiling takes from that goes to ``cuts``."""
    if campaign is None:
        return 0
    uncapped = uncapped_bid_micros(campaign, factors.get(campaign.id, _NEUTRAL))
    bid = min(uncapped, ceiling_micros(campaign, default_max_micros))
    if bid < uncapped:
        cuts[campaign.id] = uncapped - bid
    return bid
