"""The HTML of a banner: the creative, wrapped in its click and followed by its pixel."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative

CLICK_URL = "{click_url}"
PIXEL = "{pixel}"
CLICK_ID = "{click_id}"
"""In a landing page's address: what the page reports a conversion with."""


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
        image = (
            f'<img src="{escape(creative.image_url)}" width="{creative.width}" '
            f'height="{creative.height}" alt="" style="border:0">'
        )
        return f'<a href="{click}" target="_blank" rel="noopener">{image}</a>{pixel}'
    markup = creative.markup.replace(CLICK_URL, click)
    return markup.replace(PIXEL, pixel) if PIXEL in markup else markup + pixel
