"""Private deals: who buys one that an impression offers, and for how much.

Sections are those of OpenRTB 2.6. A deal has its own floor in its own currency, and lists of seats
and advertisers of its own [3.2.12].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.delivery import reasons

# The struct's fields, read at run time by msgspec.
from adctl.delivery.currency import Rates
from adctl.delivery.domains import normal_domains
from adctl.delivery.media.linear import per_second_floor_micros, range_floor_micros
from adctl.delivery.pricing import deal_ceiling_micros, uncapped_deal_bid_micros
from adctl.money import MAX_CPM_MICROS, floor_to_micros
from adctl.openrtb import Deal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from adctl.delivery.traits import Traits
    from adctl.models import Campaign, Creative, Factors
    from adctl.openrtb import Imp

_FIXED_PRICE = 3


class DealBid(NamedTuple):
    """What a campaign bids for a deal, as a CPM in micros; 0, and the reason, if it does not.

    ``cut_micros`` is by how much the bid was lowered to the campaign's ceiling.
    """

    micros: int
    cut_micros: int = 0
    reason: str = ""


class OfferedDeal(msgspec.Struct, frozen=True):
    """A deal that may be bid on. ``floor_micros`` is in our currency; None: it has none.

    ``by_length`` is the deal as it was offered where it has floors by an ad's length, too.
    """

    id: str
    floor_micros: int | None
    fixed: bool
    guaranteed: bool
    wadomain: frozenset[str]
    rates: Rates
    by_length: Deal | None = None

    def floor_of(self, creative: Creative, imp_floor_micros: int) -> int:
        """Return what a creative has to pay at least, as a CPM: the deal's, else the impression's.

        As in an impression, a range of ``durfloors`` stands above ``bidfloor``, and
        ``mincpmpersec`` holds beside either.
        """
        media = creative.media.video or creative.media.audio
        own, per_second = self.floor_micros, 0
        if self.by_length is not None and media is not None:
            ranged = range_floor_micros(self.by_length, media.duration_sec)
            own = own if ranged is None else self._converted(ranged)
            per_second = self._converted(
                per_second_floor_micros(self.by_length, media.duration_sec)
            )
        return max(imp_floor_micros if own is None else own, per_second)

    def _converted(self, micros: int) -> int:
        currency = self.by_length.bidfloorcur if self.by_length else None
        converted = self.rates.to_account_micros(micros, currency)
        return MAX_CPM_MICROS + 1 if converted is None else converted

    def bid_of(self, campaign: Campaign, factors: Factors, default_max_micros: int) -> DealBid:
        """Return what the campaign bids for the deal; ``default_max_micros`` as in the catalog.

        At a fixed price that is the deal's floor, if the campaign would pay as much; its pace then
        decides only whether it bids.
        """
        ours = next((deal for deal in campaign.deals if deal.id == self.id), None)
        offered = ours.bid_amount_micros if ours else None
        ceiling = deal_ceiling_micros(campaign, offered, default_max_micros)
        whole = uncapped_deal_bid_micros(campaign, offered, factors, guaranteed=True)
        paced = uncapped_deal_bid_micros(campaign, offered, factors, guaranteed=self.guaranteed)
        if not paced:
            return DealBid(0, reason=reasons.FLOOR if self.floor_micros else reasons.PACED)
        if self.fixed and self.floor_micros:
            if whole < self.floor_micros:
                return DealBid(0, reason=reasons.FLOOR)
            if ceiling < self.floor_micros:
                # What it takes is not offered: the fixed price, which is the deal's whole bid.
                return DealBid(0, self.floor_micros - ceiling, reasons.CEILING)
            return DealBid(self.floor_micros)
        bid = min(paced, ceiling)
        return DealBid(bid, paced - bid)

    def takes(self, traits: Traits) -> bool:
        """Return whether the deal is for the creative's advertiser."""
        if not self.wadomain:
            return True
        return bool(traits.advertiser) and traits.advertiser <= self.wadomain


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
                    wadomain=normal_domains(deal.wadomain),
                    rates=rates,
                    by_length=deal if deal.durfloors or deal.mincpmpersec else None,
                )
            )
    return found, reason


def _known_deals(imp: Imp, known: Collection[str]) -> Iterator[Deal]:
    for deal in (imp.pmp.deals if imp.pmp else None) or ():
        if deal.id and deal.id in known:
            yield deal
