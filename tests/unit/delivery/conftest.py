"""Campaigns to decide on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adctl.models import BidStrategy, Campaign, Creative, CreativeKind, Status, Targeting

if TYPE_CHECKING:
    from collections.abc import Callable

_CREATIVE = Creative(
    id=1,
    campaign_id=1,
    name="banner",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://advertiser.example/",
    adomain=("advertiser.example",),
    width=300,
    height=250,
)
_CAMPAIGN = Campaign(
    id=1,
    advertiser_id=1,
    name="campaign",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=2_000_000,
    daily_budget_nanos=100_000_000_000,
    total_budget_nanos=1_000_000_000_000,
    starts_at=datetime(2020, 1, 1, tzinfo=UTC),
)


@pytest.fixture(scope="session")
def make_creative() -> Callable[..., Creative]:
    """Make an active 300x250 banner, or what is asked for."""
    return lambda **changes: msgspec.structs.replace(_CREATIVE, **changes)


@pytest.fixture(scope="session")
def make_campaign() -> Callable[..., Campaign]:
    """Make an active campaign that is open to everything, or what is asked for.

    Unknown names are those of its targeting: ``make_campaign(countries=("USA",))``.
    """

    def make(campaign_id: int = 1, **changes: Any) -> Campaign:
        targeting = {
            name: changes.pop(name) for name in Targeting.__struct_fields__ if name in changes
        }
        creative = msgspec.structs.replace(_CREATIVE, id=campaign_id, campaign_id=campaign_id)
        fields = {"targeting": Targeting(**targeting), "creatives": (creative,), **changes}
        return msgspec.structs.replace(_CAMPAIGN, id=campaign_id, **fields)

    return make
