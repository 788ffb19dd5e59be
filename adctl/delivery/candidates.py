"""Who could serve an impression, with which creative, at what bid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.decisions import CandidateOutcome
from adctl.delivery import reasons
from adctl.delivery.auction import Candidate
from adctl.delivery.deals import DealBid, OfferedDeal, offered_deals
from adctl.delivery.eligibility import (
    CreativeRules,
    bidfloor_micros,
    imp_obstacle,
    imp_refusal,
)
from adctl.delivery.offer import Offer
from adctl.delivery.roadblock import impressions_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.bitmaps import Matches
    from adctl.delivery.catalog import Catalog
    from adctl.delivery.currency import Rates
    from adctl.delivery.targeting import RequestAttributes
    from adctl.delivery.terms import Terms
    from adctl.models import Campaign, Creative
    from adctl.openrtb import Imp


# Of those passed over, per impression, that are put on record.
MAX_PASSED_OVER = 10


class CandidateSearch:
    """Finds and prices the candidates for the impressions of one request.

    ``identified`` says whether the user is known, so that frequency caps can be counted.
    ``passed_over`` are the dearest campaigns that target the impressions searched for since the
    caller last emptied it, but may not bid on them; a few, with their reasons. ``page`` are all
    impressions of the page where the request says that it offers all, else none: only on the former
    do road-blocks bid.

    ``prepare`` and ``match`` do a part of the work before it is asked for, for whoever does each
    part for many requests in a row.
    """

    def __init__(
        self,
        catalog: Catalog,
        attributes: RequestAttributes,
        rules: CreativeRules,
        terms: Terms,
        rates: Rates,
        now_ms: int,
        page: Sequence[Imp] = (),
    ) -> None:
        self._catalog = catalog
        self._attributes = attributes
        self._rules = rules
        self._terms = terms
        self._rates = rates
        self._now_ms = now_ms
        self._page = page
        self.passed_over: list[CandidateOutcome] = []
        self._floors: dict[str, int | None] = {}
        self._offers: dict[str, tuple[Offer | None, str]] = {}
        self._matches: dict[str, Matches] = {}

    @property
    def max_candidates(self) -> int:
        """The most candidates of an auction."""
        return self._terms.max_candidates

    def floor_micros(self, imp: Imp) -> int | None:
        """Return bidfloor_micros of an impression of the request, found out once."""
        if imp.id not in self._floors:
            self._floors[imp.id] = bidfloor_micros(imp, self._rates)
        return self._floors[imp.id]

    def candidates(
        self, imp: Imp, *, identified: bool, few: int | None = None
    ) -> tuple[list[Candidate], str]:
        """Return up to ``max_candidates`` for the open auction of ``imp``, dearest first.

        Only the ``few`` dearest if that is less. Without any, the reason.
        """
        offer, reason = self._offer_of(imp)
        if offer is None:
            return [], reason
        matches, most = self._matches_of(imp.id, offer), self._terms.max_candidates
        if few is not None:
            most = min(few, most)
        return self._dearest(offer, matches, most, identified=identified)

    def prepare(self, imps: Sequence[Imp]) -> None:
        """Find out what these impressions offer in the open auction."""
        for imp in imps:
            self._offer_of(imp)

    def match(self) -> None:
        """Find out which campaigns are for the impressions that are prepared."""
        for imp_id, (offer, _) in self._offers.items():
            if offer is not None:
                self._matches_of(imp_id, offer)

    def deal_candidates(self, imp: Imp, *, identified: bool) -> tuple[list[Candidate], str]:
        """Return up to ``max_candidates`` for the deals of ``imp``: guaranteed first, then dearest.

        Without any, the reason.
        """
        if imp.pmp is None:
            return [], reasons.PRIVATE_AUCTION
        index = self._catalog.index
        deals, reason = offered_deals(imp, index.deals, self._terms.seat, self._rates)
        obstacle = imp_obstacle(imp, secure=self._terms.secure)
        if obstacle:
            return [], obstacle
        found: list[Candidate] = []
        offer = self._offer(imp) if deals else None
        for deal in deals:
            reason = reasons.NO_CAMPAIGN
            for campaign in index.match(
                self._attributes, offer.formats if offer else (), self._now_ms, deal.id
            ):
                bid = deal.bid_of(
                    campaign,
                    self._catalog.factors_of(campaign.id),
                    self._catalog.default_max_micros,
                )
                candidate, why_not = self._for_deal(
                    campaign, bid, deal, offer, identified=identified
                )
                if candidate is not None:
                    found.append(candidate)
                    continue
                self._pass_over(campaign, bid.micros, why_not, bid.cut_micros)
                reason = _of_imp(why_not)
        found.sort(key=lambda one: (not one.guaranteed, -one.bid_cpm_micros, one.campaign.id))
        return found[: self._terms.max_candidates], "" if found else reason

    def _offer_of(self, imp: Imp) -> tuple[Offer | None, str]:
        """Return what ``imp`` offers in the open auction; without that, the reason."""
        found = self._offers.get(imp.id)
        if found is None:
            reason = imp_refusal(imp, self.floor_micros(imp), secure=self._terms.secure)
            offer = None if reason else self._offer(imp)
            if offer is not None and not offer.formats:
                offer, reason = None, reasons.FORMAT
            found = self._offers[imp.id] = offer, reason
        return found

    def _matches_of(self, imp_id: str, offer: Offer) -> Matches:
        found = self._matches.get(imp_id)
        if found is None:
            index = self._catalog.index
            found = index.matches(self._attributes, offer.formats, self._now_ms)
            self._matches[imp_id] = found
        return found

    def _offer(self, imp: Imp) -> Offer:
        formats = self._catalog.index.formats
        return Offer(imp, formats, self._rules, self._rates, self.floor_micros(imp))

    def _for_deal(
        self,
        campaign: Campaign,
        bid: DealBid,
        deal: OfferedDeal,
        offer: Offer | None,
        *,
        identified: bool,
    ) -> tuple[Candidate | None, str]:
        if offer is None or not bid.micros:
            return None, bid.reason
        if self._passes_on(campaign, identified=identified):
            return None, reasons.UNIDENTIFIED
        creative, reason = self._creative(campaign, offer, bid.micros, deal)
        if creative is None:
            return None, reason
        return Candidate(
            campaign,
            creative,
            bid.micros,
            campaign.caps if identified else (),
            bid.micros,
            deal_id=deal.id,
            guaranteed=deal.guaranteed,
            cut_micros=bid.cut_micros,
        ), ""

    def _dearest(
        self, offer: Offer, matches: Matches, most: int, *, identified: bool
    ) -> tuple[list[Candidate], str]:
        found: list[Candidate] = []
        reason = reasons.NO_CAMPAIGN
        least_floor = offer.least_floor_micros
        attributes = self._attributes
        cut_of = self._catalog.cut_of
        for campaign, bid in self._catalog.dearest_first(matches, attributes):
            if bid < least_floor:
                # And so is every later one; some of them are put on record.
                reason = reasons.FLOOR
                self._pass_over(campaign, bid, reason, cut_of(campaign.id))
                if len(self.passed_over) < MAX_PASSED_OVER:
                    continue
                break
            if campaign.caps and self._passes_on(campaign, identified=identified):
                reason = reasons.UNIDENTIFIED
                self._pass_over(campaign, bid, reason, cut_of(campaign.id))
                continue
            if campaign.roadblock and not self._page:
                reason = reasons.ROADBLOCK
                self._pass_over(campaign, bid, reason, cut_of(campaign.id))
                continue
            creative, why_not = self._creative(campaign, offer, bid)
            if creative is None:
                reason = _of_imp(why_not)
                self._pass_over(campaign, bid, why_not, cut_of(campaign.id))
                continue
            caps = campaign.caps if identified else ()
            floor = offer.floor_of(creative)
            together = impressions_together(campaign, self._page) if campaign.roadblock else 0
            found.append(
                Candidate(
                    campaign,
                    creative,
                    bid,
                    caps,
                    floor,
                    together=together,
                    cut_micros=cut_of(campaign.id),
                )
            )
            if len(found) == most:
                break
        return found, reason

    def _pass_over(self, campaign: Campaign, bid: int, reason: str, cut_micros: int) -> None:
        if len(self.passed_over) < MAX_PASSED_OVER:
            self.passed_over.append(CandidateOutcome(campaign.id, 0, bid, reason, cut_micros))

    def _passes_on(self, campaign: Campaign, *, identified: bool) -> bool:
        return bool(campaign.caps) and not identified and campaign.unidentified == "no_bid"

    def _creative(
        self, campaign: Campaign, offer: Offer, bid: int, deal: OfferedDeal | None = None
    ) -> tuple[Creative | None, str]:
        """Return the creative to show; without any, the reason of the one that came closest."""
        affordable: list[Creative] = []
        reason = reasons.CREATIVE_UNFIT
        formats = offer.formats
        for traits in self._catalog.traits.of(campaign):
            if traits.format not in formats:
                continue
            creative = traits.creative
            why_not = offer.refusal(traits)
            if not why_not and deal is not None and not deal.takes(traits):
                why_not = reasons.BLOCKED_ADVERTISER
            if why_not:
                reason = reason if reason == reasons.FLOOR else why_not
            elif bid < (
                offer.floor_of(creative) if deal is None else _floor(offer, creative, deal)
            ):
                reason = reasons.FLOOR
            else:
                affordable.append(creative)
        if not affordable:
            return None, reason
        # A campaign's creatives take turns by the millisecond.
        return affordable[self._now_ms % len(affordable)], ""


def _floor(offer: Offer, creative: Creative, deal: OfferedDeal | None) -> int:
    floor = offer.floor_of(creative)
    return floor if deal is None else deal.floor_of(creative, floor)


def _of_imp(reason: str) -> str:
    """Return the reason of an impression for which a campaign was passed over for ``reason``."""
    if reason == reasons.PACED:
        return reasons.NO_CAMPAIGN
    of_creative = reason not in (reasons.FLOOR, reasons.CEILING, reasons.UNIDENTIFIED)
    return reasons.NO_CREATIVE if of_creative else reason
