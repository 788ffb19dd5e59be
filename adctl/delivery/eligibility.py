"""What an exchange lets us answer: currencies, seats, blocks, sizes.

Sections are those of OpenRTB 2.6. Lists are compared whole, never as substrings.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.money import floor_to_micros

if TYPE_CHECKING:
    from adctl.delivery.currency import Rates
    from adctl.models import Creative
    from adctl.openrtb import Banner, BidRequest, Imp

_NO_FLOOR = Decimal(0)


def request_refusal(request: BidRequest, currency: str, seat: str) -> str:
    """Return the reason why no impression of ``request`` can be bid on, or ''."""
    if request.test:
        return reasons.TEST
    if request.cur and currency not in map(str.upper, request.cur):
        return reasons.CURRENCY
    if (request.wseat and seat not in request.wseat) or (request.bseat and seat in request.bseat):
        return reasons.SEAT
    return ""


def imp_refusal(imp: Imp, rates: Rates, *, secure: bool) -> str:
    """Return the reason why ``imp`` cannot be bid on, or ''. ``secure``: our URLs may be shown."""
    if imp.pmp is not None and imp.pmp.private_auction:
        return reasons.PRIVATE_AUCTION
    if bidfloor_micros(imp, rates) is None:
        return reasons.CURRENCY
    if imp.secure and not secure:
        return reasons.INSECURE
    if imp.banner is None or not offered_sizes(imp.banner):
        return reasons.FORMAT
    return ""


def bidfloor_micros(imp: Imp, rates: Rates) -> int | None:
    """Return the floor as a CPM in our currency; inclusive, and never below 0 [3.2.4].

    None where its currency has no rate, so that nothing can be said to reach it.
    """
    return rates.to_account_micros(floor_to_micros(imp.bidfloor or _NO_FLOOR), imp.bidfloorcur)


def offered_sizes(banner: Banner) -> frozenset[tuple[int, int]]:
    """Return the exact sizes a banner may have: its formats, else its w and h [3.2.6]."""
    offered = [(f.w, f.h) for f in banner.format] if banner.format else [(banner.w, banner.h)]
    # Half a pixel is a size of no creative.
    return frozenset(
        (int(w), int(h)) for w, h in offered if w and h and w == int(w) and h == int(h)
    )


class CreativeRules:
    """What a request forbids of creatives, prepared once for all its impressions."""

    def __init__(self, request: BidRequest) -> None:
        self._cattax = request.cattax or 1
        self._badv = frozenset(domain.lower().strip() for domain in request.badv or ())
        self._bcat = frozenset(request.bcat or ())
        self._acat = frozenset(request.acat or ())
        self._wlang = frozenset(language.lower() for language in request.wlang or ())

    def allow(self, creative: Creative) -> bool:
        """Return whether the request's block and allow lists leave ``creative`` in."""
        if self._wlang and creative.language and creative.language.lower() not in self._wlang:
            return False
        if self._badv and any(self._blocked_domain(domain) for domain in creative.adomain):
            return False
        # Codes of another taxonomy say nothing about ours.
        if creative.cattax != self._cattax:
            return True
        if self._acat and not (creative.cat and self._acat.issuperset(creative.cat)):
            return False
        # A blocked tier-1 category covers the categories below it.
        return not any(c in self._bcat or c.split("-")[0] in self._bcat for c in creative.cat)

    def _blocked_domain(self, domain: str) -> bool:
        labels = domain.lower().split(".")
        return any(".".join(labels[at:]) in self._badv for at in range(len(labels)))


def fits_banner(
    creative: Creative, banner: Banner, sizes: frozenset[tuple[int, int]], *, secure: bool
) -> bool:
    """Return whether ``creative`` may be shown in ``banner``, whose offered sizes are ``sizes``."""
    if (creative.width, creative.height) not in sizes:
        return False
    if banner.btype and creative.banner_type in banner.btype:
        return False
    if banner.battr and not frozenset(banner.battr).isdisjoint(creative.attr):
        return False
    return not (secure and _insecure(creative))


def _insecure(creative: Creative) -> bool:
    return creative.image_url.startswith("http:") or "http://" in creative.markup
