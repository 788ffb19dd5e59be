"""What an exchange lets us answer: currencies, seats, blocks, sizes.

Sections are those of OpenRTB 2.6. Lists are compared whole, never as substrings.
"""

from __future__ import annotations

from decimal import ROUND_CEILING
from functools import lru_cache
from mimetypes import guess_type
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adctl.delivery import reasons
from adctl.delivery.app_ids import normal_apps
from adctl.delivery.domains import normal_domains
from adctl.delivery.languages import normal_language
from adctl.delivery.media.mimes import asked_as, registered
from adctl.money import MAX_QUANTITY_PPM, ONE_IMPRESSION_PPM, floor_to_micros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.currency import Rates
    from adctl.delivery.targeting import Size
    from adctl.delivery.traits import Traits
    from adctl.models import Creative
    from adctl.openrtb import Banner, BidRequest, Imp

_NO_SIZE: frozenset[Size] = frozenset()
_LONGEST_QUANTITY = 12
_LONGEST_USER_AGENT = 1024
# By name: "bot" alone is in the names of phones.
_CRAWLERS = (
    *("googlebot", "adsbot-google", "mediapartners-google", "bingbot", "bingpreview"),
    *("yandexbot", "baiduspider", "duckduckbot", "applebot", "petalbot", "bytespider"),
    *("gptbot", "claudebot", "ahrefsbot", "semrushbot", "mj12bot", "facebookexternalhit"),
    *("twitterbot", "headlesschrome", "phantomjs"),
)
_MARKUP_TYPES = ("text/html", "application/javascript", "text/javascript")


def request_refusal(request: BidRequest, currency: str, seat: str, usual_currency: str = "") -> str:
    """Return the reason why no impression of ``request`` can be bid on, or ''.

    ``usual_currency`` is what is taken where the request does not say; '' is any.
    """
    allowed = request.cur or ([usual_currency] if usual_currency else ())
    if allowed and currency not in map(str.upper, allowed):
        return reasons.CURRENCY
    if (request.wseat and seat not in request.wseat) or (request.bseat and seat in request.bseat):
        return reasons.SEAT
    if request.device is not None and is_crawler(request.device.ua):
        return reasons.CRAWLER
    return ""


def is_crawler(user_agent: str | None) -> bool:
    """Return whether a user agent says that it is a known program without a person before it."""
    return _names_a_crawler(user_agent[:_LONGEST_USER_AGENT]) if user_agent else False


@lru_cache(maxsize=4096)
def _names_a_crawler(user_agent: str) -> bool:
    # Looking for each name takes a tenth of what one pattern of all of them does.
    told = user_agent.lower()
    return any(name in told for name in _CRAWLERS)


def imp_refusal(imp: Imp, floor_micros: int | None, *, secure: bool) -> str:
    """Return the reason why ``imp`` cannot be bid on, or ''. ``secure``: our URLs may be shown.

    ``floor_micros`` is its floor (bidfloor_micros).
    """
    if is_private(imp):
        return reasons.PRIVATE_AUCTION
    if floor_micros is None:
        return reasons.CURRENCY
    return imp_obstacle(imp, secure=secure)


def imp_obstacle(imp: Imp, *, secure: bool) -> str:
    """Return the reason why not even a deal can be bid on in ``imp``, or ''."""
    if imp.secure and not secure:
        return reasons.INSECURE
    return reasons.QUANTITY if quantity_ppm(imp) is None else ""


def quantity_ppm(imp: Imp) -> int | None:
    """Return how many impressions one display of the ad is, in millionths, rounded up [3.2.31].

    None for what is no quantity, or more of them than can be paid.
    """
    told = imp.qty.multiplier if imp.qty else None
    if told is None:
        return ONE_IMPRESSION_PPM
    # A number of a million digits would overflow.
    if not told.is_finite() or told <= 0 or told.adjusted() > _LONGEST_QUANTITY:
        return None
    quantity = int((told * ONE_IMPRESSION_PPM).to_integral_value(ROUND_CEILING))
    return quantity if quantity <= MAX_QUANTITY_PPM else None


def is_private(imp: Imp) -> bool:
    """Return whether only the deals listed may be bid on [3.2.11]."""
    return imp.pmp is not None and bool(imp.pmp.private_auction)


def bidfloor_micros(imp: Imp, rates: Rates) -> int | None:
    """Return the floor as a CPM in our currency; inclusive, and never below 0 [3.2.4].

    None where its currency has no rate, so that nothing can be said to reach it.
    """
    floor = imp.bidfloor
    micros = floor_to_micros(floor) if floor is not None else 0
    return rates.to_account_micros(micros, imp.bidfloorcur)


def offered_sizes(banner: Banner) -> frozenset[Size]:
    """Return the exact sizes a banner may have: its formats, else its w and h [3.2.6]."""
    if not banner.format:
        size = _whole(banner.w, banner.h)
        return frozenset((size,)) if size else _NO_SIZE
    return frozenset([size for f in banner.format if (size := _whole(f.w, f.h))])


def _whole(width: float | None, height: float | None) -> Size | None:
    # Half a pixel is a size of no creative.
    if not width or not height or width != int(width) or height != int(height):
        return None
    return int(width), int(height)


def flexible_ratio(banner: Banner, width: int, height: int) -> tuple[int, int] | None:
    """Return the ratio among the banner's flexible formats that this size has, or None [3.2.10].

    Ratios are whole numbers, and a bid repeats them: one that is not fits nothing.
    """
    for offered in banner.format or ():
        across, down = offered.wratio, offered.hratio
        if not across or not down or across != int(across) or down != int(down):
            continue
        if width * down == height * across and width >= (offered.wmin or 0):
            return int(across), int(down)
    return None


class CreativeRules:
    """What a request forbids of creatives, prepared once for all its impressions."""

    def __init__(self, request: BidRequest) -> None:
        self._cattax = request.cattax or 1
        # What cannot be read in a list names nobody, so that it blocks nobody.
        self._badv = normal_domains(request.badv)
        self._bapp = normal_apps(request.bapp)
        self._bcat = frozenset(request.bcat or ())
        self._acat = frozenset(request.acat or ())
        # wlang has languages, wlangb tags such as en-GB [3.2.1]: of both, the language counts.
        told = (request.wlang or []) + (request.wlangb or [])
        self._wlang = frozenset(map(normal_language, told))

        # Whether all that it forbids is what the lists name.
        self.only_names = not (self._wlang or self._bapp or self._acat)
        self.names: frozenset[str] = self._badv | self._bcat

    def refusal(self, traits: Traits) -> str:
        """Return the reason why the request's block and allow lists leave a creative out, or ''."""
        if self._wlang and traits.language is not None and traits.language not in self._wlang:
            return reasons.BLOCKED_LANGUAGE
        if self._badv and not (traits.domains and self._badv.isdisjoint(traits.domains)):
            return reasons.BLOCKED_ADVERTISER
        if traits.app and traits.app in self._bapp:
            return reasons.BLOCKED_APP
        codes = traits.creative.cat
        # Codes of another taxonomy say nothing about ours; no code at all is of every taxonomy.
        if codes and traits.creative.cattax != self._cattax:
            return ""
        if self._acat and not (codes and self._acat.issuperset(codes)):
            return reasons.BLOCKED_CATEGORY
        # A blocked tier-1 category covers the categories below it.
        return "" if self._bcat.isdisjoint(traits.categories) else reasons.BLOCKED_CATEGORY


class BannerRules:
    """What one banner takes, prepared once for all creatives; its sizes are ``sizes``.

    What a request does not list is not there: frameworks (api), directions to expand in (expdir).
    """

    def __init__(self, banner: Banner, sizes: frozenset[Size], *, secure: bool) -> None:
        self._banner = banner
        self._sizes = sizes
        self._secure = secure
        self.only_names = not (banner.btype or banner.mimes)
        self.names = frozenset(banner.battr or ())

    def refusal(self, traits: Traits) -> str:
        """Return the reason why a creative may not be shown in the banner, or ''."""
        banner, creative = self._banner, traits.creative
        if traits.format not in self._sizes:
            return reasons.CREATIVE_UNFIT
        if creative.banner_type in (banner.btype or ()) or not self.names.isdisjoint(traits.attr):
            return reasons.BLOCKED_ATTRIBUTE
        media = creative.media
        if not _has_all(banner.api, media.api) or not _has_all(banner.expdir, media.expdir):
            return reasons.CREATIVE_UNFIT
        if banner.mimes and not _is_of_type(creative, banner.mimes):
            return reasons.CREATIVE_UNFIT
        return reasons.INSECURE_CREATIVE if self._secure and traits.insecure else ""


def _has_all(offered: list[int] | None, needed: Sequence[int]) -> bool:
    return not needed or set(needed).issubset(offered or ())


def _is_of_type(creative: Creative, mimes: list[str]) -> bool:
    # An image is sent within markup, too.
    if creative.markup or any(registered(mime) == "text/html" for mime in mimes):
        return any(registered(mime) in _MARKUP_TYPES for mime in mimes)
    kind, _ = guess_type(urlsplit(creative.image_url).path)
    # An address that does not tell is taken at its word.
    return kind is None or asked_as(kind, mimes) is not None
