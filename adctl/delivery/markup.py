"""What a bid sends to be shown: a banner's HTML, or what the creative's kind has in its place."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

from adctl.delivery.eligibility import flexible_ratio, offered_sizes
from adctl.delivery.media.audio import audio_fields, audio_markup
from adctl.delivery.media.linear import BidFields
from adctl.delivery.media.native import native_fields, native_markup
from adctl.delivery.media.video import video_fields, video_markup
from adctl.models import CreativeKind

if TYPE_CHECKING:
    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative
    from adctl.openrtb import Banner, Imp

_BANNER = 1  # AdCOM creative markup types, as bid.mtype

CLICK_URL = "{click_url}"
PIXEL = "{pixel}"


def ad_of(creative: Creative, imp: Imp, urls: TrackingUrls, bid_id: str) -> tuple[str, BidFields]:
    """Return the ``adm`` of a bid, and what the bid says of it.

    ``creative`` fits what ``imp`` offers of its kind (Offer.fits).
    """
    kind = creative.kind
    if kind is CreativeKind.VIDEO and imp.video is not None:
        markup = video_markup(creative, imp.video, urls, bid_id)
        return markup, video_fields(creative, imp.video)
    if kind is CreativeKind.AUDIO and imp.audio is not None:
        markup = audio_markup(creative, imp.audio, urls, bid_id)
        return markup, audio_fields(creative, imp.audio)
    if kind is CreativeKind.NATIVE and imp.native is not None:
        return native_markup(creative, imp.native, urls), native_fields(creative)
    return banner_markup(creative, urls), BidFields(
        mtype=_BANNER,
        w=creative.width,
        h=creative.height,
        apis=creative.media.api,
        attr=creative.attr,
    )


def ratio_of(creative: Creative, banner: Banner | None) -> tuple[int, int] | None:
    """Return the ratio a banner was fitted by, if no exact size that is asked for is its own."""
    if banner is None or not banner.format or creative.kind is not CreativeKind.BANNER:
        return None
    size = (creative.width, creative.height)
    if size in offered_sizes(banner):
        return None
    return flexible_ratio(banner, *size)


def banner_markup(creative: Creative, urls: TrackingUrls) -> str:
    """Return the ``adm`` of a banner bid.

    A creative's own markup has ``{click_url}`` replaced by the click URL and ``{pixel}`` by the
    impression pixel; a markup without ``{pixel}`` gets it at the end. ``${AUCTION_PRICE}`` is left
    for the exchange.
    """
    click = escape(urls.click)
    pixel = (
        f'<img src="{escape(urls.impression)}" width="1" height="1" alt="" '
        'style="position:absolute;border:0">'
    )
    if not creative.markup:
        return f'<a href="{click}" target="_blank" rel="noopener">{_image(creative)}</a>{pixel}'
    markup = creative.markup.replace(CLICK_URL, click)
    return markup.replace(PIXEL, pixel) if PIXEL in markup else markup + pixel


def _image(creative: Creative) -> str:
    return (
        f'<img src="{_escaped(creative.image_url)}" width="{creative.width}" '
        f'height="{creative.height}" alt="" style="border:0">'
    )


# The dearest few of a catalog serve most of its impressions.
_escaped = lru_cache(maxsize=4096)(escape)
