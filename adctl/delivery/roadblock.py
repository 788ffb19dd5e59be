"""Road-blocks: campaigns that take all impressions of a page together, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.models import Campaign
    from adctl.openrtb import Imp


def impressions_together(campaign: Campaign, page: Sequence[Imp]) -> int:
    """Return how many impressions of ``page`` a road-block has to take: those of its kinds.

    Of a kind is an impression that takes banners, videos, audio or native ads, where the campaign
    has any such creative; whether one fits is not asked.
    """
    kinds = {creative.kind.value for creative in campaign.creatives}
    return sum(any(getattr(imp, kind) is not None for kind in kinds) for imp in page)
