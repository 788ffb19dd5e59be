from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from adctl.delivery import reasons
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import Rates
from adctl.delivery.explaining import CANDIDATE, LOOKS, Explainer
from adctl.delivery.terms import Terms
from adctl.models import Factors, FrequencyCap, TimeWindow
from adctl.openrtb import Banner, BidRequest, Imp

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.models import Campaign

TERMS = Terms("USD", "seat1", "https://t.example", True, 20, 12, 20, 60, 3600)
NOW_MS = 1_767_225_600_000  # the midnight of a Thursday
IMP = Imp(id="1", banner=Banner(w=300, h=250), bidfloor=Decimal(1))
REQUEST = BidRequest(id="r", imp=[IMP], bcat=["IAB25"])


class Shelf(NamedTuple):
    current: Catalog


def explainer(*campaigns: Campaign, factors: dict[int, Factors] | None = None) -> Explainer:
    catalog = Catalog.build(campaigns, factors)
    return Explainer(Shelf(catalog), TERMS, Rates("USD"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, CANDIDATE),
        ({"countries": ("USA",)}, reasons.TARGETING_COUNTRY),
        ({"devices": ("mobile",), "countries": ("USA",)}, reasons.TARGETING_COUNTRY),
        ({"time_windows": (TimeWindow(from_hour=9, to_hour=10),)}, reasons.HOURS),
        ({"bid_amount_micros": 999_999}, reasons.FLOOR),
        ({"caps": (FrequencyCap(1, 60),)}, reasons.UNIDENTIFIED),
    ],
)
def test_campaign_says_the_first_of_its_reasons(
    make_campaign: Callable[..., Campaign], fields: dict[str, Any], reason: str
) -> None:
    [look] = explainer(make_campaign(7, **fields)).look(REQUEST, NOW_MS)
    assert (look.campaign_id, look.reason) == (7, reason)


def test_campaign_that_is_ahead_of_its_pace_says_so(make_campaign: Callable[..., Campaign]) -> None:
    paced = explainer(make_campaign(1), factors={1: Factors(pacing_ppm=0)})
    assert [look.reason for look in paced.look(REQUEST, NOW_MS)] == [reasons.PACED]


def test_every_campaign_has_its_turn_as_often_as_the_others(
    make_campaign: Callable[..., Campaign],
) -> None:
    campaigns = [make_campaign(number) for number in range(1, LOOKS * 3 // 2 + 1)]
    asked = explainer(*campaigns)
    looks = Counter(look.campaign_id for _ in range(3) for look in asked.look(REQUEST, NOW_MS))
    assert looks == {campaign.id: 2 for campaign in campaigns}


def test_nobody_has_nothing_to_say() -> None:
    assert explainer().look(REQUEST, NOW_MS) == ()
