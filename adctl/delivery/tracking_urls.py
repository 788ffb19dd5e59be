"""The URLs a bid hands out: the exchange's for notices, the browser's for impression and click."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from adctl.money import ONE_IMPRESSION_PPM

if TYPE_CHECKING:
    from adctl.delivery.tokens import BidToken, Signer

# Filled in by the exchange, wherever they stand (OpenRTB 2.6, 4.4). Macros that only repeat what
# the token proves (AUCTION_ID, AUCTION_BID_ID, AUCTION_IMP_ID, AUCTION_SEAT_ID, AUCTION_AD_ID) are
# left out: a copy outside the signature would prove nothing.
_CURRENCY = "c=${AUCTION_CURRENCY}"
_QUANTITY = "&q=${AUCTION_MULTIPLIER}"
_SHOWN_AT = "s=${AUCTION_IMP_TS}"
_MARKET = "m=${AUCTION_MIN_TO_WIN}&b=${AUCTION_MBR}"
_LOSS = "r=${AUCTION_LOSS}"
PRICE_MACRO = "${AUCTION_PRICE}"


class Notices(msgspec.Struct, frozen=True):
    """The notices an exchange is asked for, and the macro it puts its price in place of."""

    win: bool = True
    billing: bool = True
    loss: bool = True
    price_macro: str = PRICE_MACRO


ALL_NOTICES = Notices()


class TrackingUrls(msgspec.Struct, frozen=True, gc=False):
    """The tracking URLs of one bid; notices that are not asked for are empty.

    A conversion's is made at the click, for the landing page.
    """

    nurl: str
    burl: str
    lurl: str
    impression: str
    click: str


def tracking_urls(
    base_url: str, signer: Signer, token: BidToken, notices: Notices = ALL_NOTICES
) -> TrackingUrls:
    """Return the signed URLs of a bid; ``base_url`` is the tracker's, without a final slash."""
    notice, impression, click, _ = signer.sign(token)
    # Only where one display is not one impression.
    several = token.quantity_ppm != ONE_IMPRESSION_PPM
    billed, won, lost = _queries(notices.price_macro, several=several)
    return TrackingUrls(
        nurl=f"{base_url}/notice/win?t={notice}{won}" if notices.win else "",
        burl=f"{base_url}/notice/bill?t={notice}{billed}" if notices.billing else "",
        lurl=f"{base_url}/notice/loss?t={notice}{lost}" if notices.loss else "",
        impression=f"{base_url}/track/impression?t={impression}{billed}",
        click=f"{base_url}/track/click?t={click}",
    )


@cache
def _queries(price_macro: str, *, several: bool) -> tuple[str, str, str]:
    """Return what follows the token where a bid is billed, won and lost."""
    price = f"&p={price_macro}&{_CURRENCY}"
    quantity = _QUANTITY if several else ""
    return (
        f"{price}&{_SHOWN_AT}{quantity}",
        f"{price}&{_MARKET}{quantity}",
        f"{price}&{_MARKET}&{_LOSS}",
    )
