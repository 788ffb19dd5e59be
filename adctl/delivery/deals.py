"""Private deals: who buys one that an impression offers, and for how much.

Sections are those of OpenRTB 2.6. A deal has its own floor in its own currency, and lists of seats
and advertisers of its own [3.2.12].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.delivery import reasons
from adctl.delivery.pricing import deal_bid_micros
from adctl.money import floor_to_micros

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from adctl.delivery.currency import Rates
    from adctl.models import Campaign, Creative, Factors
    from adctl.openrtb import Deal, Imp

_FIXED_PRICE = 3


class OfferedDeal(msgspec.Struct, frozen=True):
    """A deal that may be bid on. ``floor_micros`` is in our currency; None: it has none."""

    id: str
    floor_micros: int | None
    fixed: bool
    guaranteed: bool
    wadomain: frozenset[str]

    def price_for(self, campaign: Campaign, factors: Factors) -> int:
        """Return what the campaign bids for the deal as a CPM, 0 if it does not.

        At a fixed price that is the deal's floor, if the campaign would pay as much; its pace then
        decides only whether it bids.
        """
        ours = next((deal for deal in campaign.deals if deal.id == self.id), None)
        offered = ours.bid_amount_micros if ours else None
        whole = deal_bid_micros(campaign, offered, factors, guaranteed=True)
        paced = deal_bid_micros(campaign, offered, factors, guaranteed=self.guaranteed)
        if self.fixed and self.floor_micros:
            return self.floor_micros if paced and whole >= self.floor_micros else 0
        return paced

    def takes(self, creative: Creative) -> bool:
        """Return whether the deal is for the creative's advertiser."""
        if not self.wadomain:
            return True
        domains = {domain.lower() for domain in creative.adomain}
        return bool(domains) and domains <= self.wadomain


def offered_deals(
    imp: Imp, known: Collection[str], seat: str, rates: Rates
) -> tuple[list[OfferedDeal], str]:
    """Return the deals of ``imp`` that we buy and may bid on, or none and the reason.

    ``known`` are those that some campaign buys.
    """
    found, reason = [], reasons.PRIVATE_AUCTION
    for deal in _known_deals(imp, known):
        floor = None
        if deal.bidfloor is not None:
            floor = rates.to_account_micros(floor_to_micros(deal.bidfloor), deal.bidfloorcur)
        if deal.wseat and seat not in deal.wseat:
            reason = reasons.SEAT
        elif deal.bidfloor is not None and floor is None:
            reason = reasons.CURRENCY
        else:
            found.append(
                OfferedDeal(
                    id=deal.id or "",
                    floor_micros=floor,
                    fixed=deal.at == _FIXED_PRICE,
                    guaranteed=bool(deal.guar),
                    wadomain=frozenset(domain.lower() for domain in deal.wadomain or ()),
                )
            )
    return found, reason


def _known_deals(imp: Imp, known: Collection[str]) -> Iterator[Deal]:
    for deal in (imp.pmp.deals if imp.pmp else None) or ():
        if deal.id and deal.id in known:
            yield deal
