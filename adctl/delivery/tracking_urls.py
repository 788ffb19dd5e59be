"""The URLs a bid hands out: the exchange's for notices, the browser's for impression and click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from adctl.delivery.tokens import BidToken, Signer

# Filled in by the exchange, wherever they stand (OpenRTB 2.6, 4.4).
_PRICE = "p=${AUCTION_PRICE}"
_LOSS = "r=${AUCTION_LOSS}"


class TrackingUrls(msgspec.Struct, frozen=True, gc=False):
    """The tracking URLs of one bid. A conversion's is made at the click, for the landing page."""

    nurl: str
    burl: str
    lurl: str
    impression: str
    click: str


def tracking_urls(base_url: str, signer: Signer, token: BidToken) -> TrackingUrls:
    """Return the signed URLs of a bid; ``base_url`` is the tracker's, without a final slash."""
    notice, impression, click, _ = signer.sign(token)
    return TrackingUrls(
        nurl=f"{base_url}/notice/win?t={notice}&{_PRICE}",
        burl=f"{base_url}/notice/bill?t={notice}&{_PRICE}",
        lurl=f"{base_url}/notice/loss?t={notice}&{_PRICE}&{_LOSS}",
        impression=f"{base_url}/track/impression?t={impression}&{_PRICE}",
        click=f"{base_url}/track/click?t={click}",
    )
