from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.roadblock import impressions_together
from adctl.models import CreativeKind
from adctl.openrtb import Banner, Imp, Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.models import Campaign

PAGE = [
    Imp(id="1", banner=Banner(w=300, h=250)),
    Imp(id="2", video=Video()),
    Imp(id="3", banner=Banner(w=1, h=1), video=Video()),
    Imp(id="4"),
]


def test_roadblock_needs_every_impression_of_its_kinds_whatever_the_size(
    make_campaign: Callable[..., Campaign],
) -> None:
    assert impressions_together(make_campaign(1), PAGE) == 2


def test_roadblock_of_several_kinds_needs_an_impression_of_both_once(
    make_campaign: Callable[..., Campaign],
) -> None:
    banners = make_campaign(1)
    [banner] = banners.creatives
    video = msgspec.structs.replace(banner, kind=CreativeKind.VIDEO)
    both = msgspec.structs.replace(banners, creatives=(banner, video))
    assert impressions_together(both, PAGE) == 3
