"""Looking campaigns up in an index, as tests do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adctl.delivery.campaign_index import CampaignIndex
from adctl.models import Campaign, GeoRadius

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adctl.delivery.targeting import Format, RequestAttributes

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)
SIZES = frozenset({(300, 250)})
BERLIN = GeoRadius(lat=52.52, lon=13.405, radius_km=30)


def build(*campaigns: Campaign) -> CampaignIndex:
    return CampaignIndex.build(campaigns, lambda campaign: campaign.bid_amount_micros)


def milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def found(
    index: CampaignIndex,
    attributes: RequestAttributes,
    formats: Iterable[Format] = SIZES,
    now: datetime = NOW,
) -> list[int]:
    return [c.id for c in index.match(attributes, frozenset(formats), milliseconds(now))]
