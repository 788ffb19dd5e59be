"""Who could serve an impression, with which creative, at what bid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.auction import Candidate
from adctl.delivery.eligibility import (
    CreativeRules,
    bidfloor_micros,
    fits_banner,
    imp_refusal,
    offered_sizes,
)

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
        if reason or imp.banner is None:
            return [], reason or reasons.FORMAT
        sizes, floor = offered_sizes(imp.banner), bidfloor_micros(imp, self._rates) or 0
        found: list[Candidate] = []
        reason = reasons.NO_CAMPAIGN
        for campaign, bid in self._catalog.dearest_first(self._attributes, sizes, self._now_ms):
            if bid < floor:
                # And so is every later one.
                reason = reasons.FLOOR
                break
            if campaign.caps and not identified and campaign.unidentified == "no_bid":
                reason = reasons.UNIDENTIFIED
                continue
            creative = self._creative(campaign, imp, sizes)
            if creative is None:
                reason = reasons.NO_CREATIVE
                continue
            caps = campaign.caps if identified else ()
            found.append(Candidate(campaign, creative, bid, caps))
            if len(found) == self._terms.max_candidates:
                break
        return found, reason

    def _creative(
        self, campaign: Campaign, imp: Imp, sizes: frozenset[tuple[int, int]]
    ) -> Creative | None:
        banner = imp.banner
        fitting = [
            creative
            for creative in campaign.creatives
            if banner is not None
            and fits_banner(creative, banner, sizes, secure=bool(imp.secure))
            and self._rules.allow(creative)
        ]
        # A campaign's creatives take turns by the millisecond.
        return fitting[self._now_ms % len(fitting)] if fitting else None
