"""Who could serve an impression, with which creative, at what bid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.auction import Candidate
from adctl.delivery.eligibility import CreativeRules, imp_refusal
from adctl.delivery.offer import Offer

if TYPE_CHECKING:
    from adctl.delivery.catalog import Catalog
    from adctl.delivery.currency import Rates
    from adctl.delivery.targeting import RequestAttributes
    from adctl.delivery.terms import Terms
    from adctl.models import Campaign, Creative
    from adctl.openrtb import Imp


class CandidateSearch:
    """Finds and prices the candidates for the impressions of one request."""

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
        """Return up to ``max_candidates`` for ``imp``, dearest first, or none and the reason."""
        reason = imp_refusal(imp, self._rates, secure=self._terms.secure)
        if reason:
            return [], reason
        offer = Offer(imp, self._catalog.index.formats, self._rules, self._rates)
        if not offer.formats:
            return [], reasons.FORMAT
        return self._dearest(offer, identified=identified)

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
            if campaign.caps and not identified and campaign.unidentified == "no_bid":
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

    def _creative(self, campaign: Campaign, offer: Offer, bid: int) -> tuple[Creative | None, str]:
        fitting = [creative for creative in campaign.creatives if offer.fits(creative)]
        if not fitting:
            return None, reasons.NO_CREATIVE
        affordable = [creative for creative in fitting if offer.floor_of(creative) <= bid]
        if not affordable:
            return None, reasons.FLOOR
        # A campaign's creatives take turns by the millisecond.
        return affordable[self._now_ms % len(affordable)], ""
