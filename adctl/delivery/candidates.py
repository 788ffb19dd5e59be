"""Who could serve an impression, with which creative, at what bid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.auction import Candidate
from adctl.delivery.deals import OfferedDeal, offered_deals
from adctl.delivery.eligibility import CreativeRules, imp_obstacle, imp_refusal
from adctl.delivery.offer import Offer

if TYPE_CHECKING:
    from adctl.delivery.catalog import Catalog
    from adctl.delivery.currency import Rates
    from adctl.delivery.targeting import RequestAttributes
    from adctl.delivery.terms import Terms
    from adctl.models import Campaign, Creative
    from adctl.openrtb import Imp


class CandidateSearch:
    """Finds and prices the candidates for the impressions of one request.

    ``identified`` says whether the user is known, so that frequency caps can be counted.
    """

    def __init__(
        self,
        catalog: Catalog,
        attributes: RequestAttributes,
        rules: CreativeRules,
        terms: Terms,
        rates: Rates,
        now_ms: int,
    ) -> None:
        self._catalog = catalog
        self._attributes = attributes
        self._rules = rules
        self._terms = terms
        self._rates = rates
        self._now_ms = now_ms

    def candidates(self, imp: Imp, *, identified: bool) -> tuple[list[Candidate], str]:
        """Return up to ``max_candidates`` for the open auction of ``imp``, dearest first.

        Without any, the reason.
        """
        reason = imp_refusal(imp, self._rates, secure=self._terms.secure)
        if reason:
            return [], reason
        offer = Offer(imp, self._catalog.index.formats, self._rules, self._rates)
        if not offer.formats:
            return [], reasons.FORMAT
        return self._dearest(offer, identified=identified)

    def deal_candidates(self, imp: Imp, *, identified: bool) -> tuple[list[Candidate], str]:
        """Return up to ``max_candidates`` for the deals of ``imp``: guaranteed first, then dearest.

        Without any, the reason.
        """
        index = self._catalog.index
        deals, reason = offered_deals(imp, index.deals, self._terms.seat, self._rates)
        obstacle = imp_obstacle(imp, secure=self._terms.secure)
        if obstacle:
            return [], obstacle
        found: list[Candidate] = []
        offer = Offer(imp, index.formats, self._rules, self._rates) if deals else None
        for deal in deals:
            reason = reasons.NO_CAMPAIGN
            for campaign in index.match(
                self._attributes, offer.formats if offer else (), self._now_ms, deal.id
            ):
                candidate, reason = self._for_deal(campaign, deal, offer, identified=identified)
                if candidate is not None:
                    found.append(candidate)
        found.sort(key=lambda one: (not one.guaranteed, -one.bid_cpm_micros, one.campaign.id))
        return found[: self._terms.max_candidates], "" if found else reason

    def _for_deal(
        self, campaign: Campaign, deal: OfferedDeal, offer: Offer | None, *, identified: bool
    ) -> tuple[Candidate | None, str]:
        bid = deal.price_for(campaign, self._catalog.factors_of(campaign.id))
        if offer is None or not bid:
            return None, reasons.FLOOR if deal.floor_micros else reasons.NO_CAMPAIGN
        if self._passes_on(campaign, identified=identified):
            return None, reasons.UNIDENTIFIED
        creative, reason = self._creative(campaign, offer, bid, deal)
        if creative is None:
            return None, reason
        caps = campaign.caps if identified else ()
        return Candidate(
            campaign, creative, bid, caps, bid, deal_id=deal.id, guaranteed=deal.guaranteed
        ), ""

    def _dearest(self, offer: Offer, *, identified: bool) -> tuple[list[Candidate], str]:
        found: list[Candidate] = []
        reason = reasons.NO_CAMPAIGN
        for campaign, bid in self._catalog.dearest_first(
            self._attributes, offer.formats, self._now_ms
        ):
            if bid < offer.least_floor_micros:
                # And so is every later one.
                reason = reasons.FLOOR
                break
            if self._passes_on(campaign, identified=identified):
                reason = reasons.UNIDENTIFIED
                continue
            creative, why_not = self._creative(campaign, offer, bid)
            if creative is None:
                reason = why_not
                continue
            caps = campaign.caps if identified else ()
            found.append(Candidate(campaign, creative, bid, caps, offer.floor_of(creative)))
            if len(found) == self._terms.max_candidates:
                break
        return found, reason

    def _passes_on(self, campaign: Campaign, *, identified: bool) -> bool:
        return bool(campaign.caps) and not identified and campaign.unidentified == "no_bid"

    def _creative(
        self, campaign: Campaign, offer: Offer, bid: int, deal: OfferedDeal | None = None
    ) -> tuple[Creative | None, str]:
        fitting = [
            creative
            for creative in campaign.creatives
            if offer.fits(creative) and (deal is None or deal.takes(creative))
        ]
        if not fitting:
            return None, reasons.NO_CREATIVE
        own = None if deal is None else deal.floor_micros
        affordable = [
            creative
            for creative in fitting
            if (offer.floor_of(creative) if own is None else own) <= bid
        ]
        if not affordable:
            return None, reasons.FLOOR
        # A campaign's creatives take turns by the millisecond.
        return affordable[self._now_ms % len(affordable)], ""
