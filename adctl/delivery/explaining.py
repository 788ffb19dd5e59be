"""Why campaigns are not in a request, looked into for one request in many, after its answer.

The index tells who is for a request, not why the others are not: that is asked of each campaign one
rule at a time, which is too slow to be done for all. So each time the next few take their turn.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adctl.decisions import CampaignLook
from adctl.delivery import reasons
from adctl.delivery.eligibility import CreativeRules, bidfloor_micros
from adctl.delivery.mismatch import first_mismatch
from adctl.delivery.offer import Offer
from adctl.delivery.privacy import permissions_of, permitted_user_id
from adctl.delivery.targeting import Format, attributes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.bidding import CatalogSource, RatesSource
    from adctl.delivery.catalog import Catalog
    from adctl.delivery.terms import Terms
    from adctl.models import Campaign
    from adctl.openrtb import BidRequest

LOOKS = 32
"""Campaigns looked into per request: half a millisecond of work."""

CANDIDATE = "candidate"
"""What is told of a campaign that was, or would be but for dearer ones, put to the vote."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Explainer:
    """Looks into campaigns in turns: every campaign as often as every other. One per worker."""

    def __init__(self, catalog: CatalogSource, terms: Terms, rates: RatesSource) -> None:
        self._catalog = catalog
        self._terms = terms
        self._rates = rates
        self._next = 0

    def look(self, request: BidRequest, now_ms: int) -> tuple[CampaignLook, ...]:
        """Return what the next few campaigns say to ``request``, as it came at ``now_ms``."""
        catalog = self._catalog.current
        size = catalog.index.size
        places = [(self._next + at) % size for at in range(min(LOOKS, size))]
        self._next = (self._next + len(places)) % size if size else 0
        those = [campaign for place in places if (campaign := catalog.index.at(place))]
        return self._look_into(catalog, those, request, now_ms)

    def _look_into(
        self, catalog: Catalog, campaigns: Sequence[Campaign], request: BidRequest, now_ms: int
    ) -> tuple[CampaignLook, ...]:
        permissions = permissions_of(request, self._terms.privacy)
        identified = bool(permitted_user_id(request, permissions, self._terms.identity))
        attributes = attributes_of(
            request,
            segments=identified and permissions.segments,
            precise_location=identified and permissions.precise_location,
        )
        rules, rates = CreativeRules(request), self._rates.current
        offers = [
            Offer(imp, catalog.index.formats, rules, rates, bidfloor_micros(imp, rates))
            for imp in request.imp[: self._terms.max_imps]
        ]
        formats = frozenset[Format]().union(*(offer.formats for offer in offers))
        now = _EPOCH + timedelta(milliseconds=now_ms)
        looks = []
        for campaign in campaigns:
            reason = first_mismatch(campaign, attributes, formats, now)
            if not reason:
                found = [_why_not(catalog, campaign, one, identified=identified) for one in offers]
                reason = CANDIDATE if CANDIDATE in found else found[0]
            looks.append(CampaignLook(campaign.id, reason))
        return tuple(looks)


def _why_not(catalog: Catalog, campaign: Campaign, offer: Offer, *, identified: bool) -> str:
    if campaign.caps and not identified and campaign.unidentified == "no_bid":
        return reasons.UNIDENTIFIED
    bid = catalog.bid_of(campaign)
    if not bid:
        return reasons.PACED
    found = {
        offer.refusal(traits)
        or (reasons.FLOOR if bid < offer.floor_of(traits.creative) else CANDIDATE)
        for traits in catalog.traits.of(campaign)
        if traits.format in offer.formats
    }
    for best in (CANDIDATE, reasons.FLOOR):
        if best in found:
            return best
    return min(found, default=reasons.CREATIVE_UNFIT)
