"""The auctions of a request: one for each impression, and one more where it offers our deals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.decisions import ImpDecision
from adctl.delivery import reasons
from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.eligibility import is_private, quantity_ppm
from adctl.money import ONE_IMPRESSION_PPM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.candidates import CandidateSearch
    from adctl.openrtb import BidRequest, Imp


def auctions_of(
    request: BidRequest,
    search: CandidateSearch,
    max_imps: int,
    *,
    identified: bool,
    few: int | None = None,
) -> tuple[list[ImpAuction], list[ImpDecision]]:
    """Return what is put to the vote, the most urgent first, and the impressions without any.

    ``few`` looks for no more candidates than that: where there could be others, the auction says
    so. It is for requests of which has_one_auction is true, and ignored unless under ``search``'s
    own limit.
    """
    few = few if few is not None and few < search.max_candidates else None
    auctions: list[ImpAuction] = []
    refused: list[ImpDecision] = []
    for place, imp in enumerate(request.imp):
        if place >= max_imps:
            floor = search.floor_micros(imp) or 0
            refused.append(ImpDecision(imp.id, floor, reason=reasons.TOO_MANY_IMPS))
            continue
        for_deals: list[Candidate] = []
        in_open: list[Candidate] = []
        reason = reasons.PRIVATE_AUCTION
        if imp.pmp is not None:
            for_deals, reason = search.deal_candidates(imp, identified=identified)
        if not is_private(imp):
            in_open, reason = search.candidates(imp, identified=identified, few=few)
        found = [candidates for candidates in (for_deals, in_open) if candidates]
        auctions += _auctions(imp, search, found, few)
        if not found:
            refused.append(
                ImpDecision(
                    imp.id,
                    search.floor_micros(imp) or 0,
                    reason=reason,
                    passed_over=tuple(search.passed_over),
                )
            )
        search.passed_over.clear()
    if len(auctions) > 1:
        auctions.sort(key=_urgency)
    return auctions, refused


def has_one_auction(request: BidRequest) -> bool:
    """Return whether there is one impression without deals, and no page to be taken as a whole."""
    return len(request.imp) == 1 and request.imp[0].pmp is None and not request.allimps


def _auctions(
    imp: Imp, search: CandidateSearch, found: Sequence[list[Candidate]], few: int | None
) -> list[ImpAuction]:
    floor, quantity = search.floor_micros(imp) or 0, quantity_ppm(imp) or ONE_IMPRESSION_PPM
    # On record once, with the first.
    passed_over = tuple(search.passed_over)
    return [
        ImpAuction(
            imp.id,
            floor,
            tuple(candidates),
            quantity,
            () if place else passed_over,
            more=len(candidates) == few,
        )
        for place, candidates in enumerate(found)
    ]


def _urgency(auction: ImpAuction) -> int:
    """Order auctions: a campaign wins one impression only, and it should be the best use of it."""
    dearest = auction.candidates[0]
    return 0 if dearest.guaranteed else 1 if dearest.deal_id else 2
