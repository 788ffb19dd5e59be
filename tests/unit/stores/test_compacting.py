from __future__ import annotations

import msgspec

from adctl.models import Campaign, CreativeKind, Media, NativeMedia
from adctl.stores.compacting import compacted
from tests.bench import market


def decoded(campaign: Campaign) -> Campaign:
    return msgspec.json.decode(msgspec.json.encode(campaign), type=Campaign)


def test_compacted_campaign_equals_what_it_was() -> None:
    # A creative of the market is called as its kind is, and that is no reason to share either.
    for campaign in market.campaigns(20):
        found = compacted(decoded(campaign))
        assert found == campaign
        assert found.creatives[0].kind is campaign.creatives[0].kind


def test_campaigns_share_what_they_have_in_common() -> None:
    [campaign] = market.campaigns(1)
    one = compacted(decoded(campaign))
    two = compacted(decoded(msgspec.structs.replace(campaign, id=2)))
    assert one.targeting is two.targeting
    assert one.creatives[0].adomain is two.creatives[0].adomain


def test_native_ad_whose_texts_cannot_be_shared_stays_as_it_is() -> None:
    campaign = market.campaigns(1)[0]
    native = NativeMedia(titles=("Shoes",), data={"desc": ("Light shoes",)})
    creative = msgspec.structs.replace(
        campaign.creatives[0], kind=CreativeKind.NATIVE, media=Media(native=native)
    )
    campaign = msgspec.structs.replace(campaign, creatives=(creative,))
    assert compacted(decoded(campaign)) == campaign
