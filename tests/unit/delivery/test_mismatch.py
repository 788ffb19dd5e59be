from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adctl.delivery.mismatch import explain_mismatch
from adctl.delivery.targeting import RequestAttributes
from adctl.models import Campaign, GeoRadius, Segments, Status, TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)
SIZES = frozenset({(300, 250)})


def test_a_campaign_that_fits_needs_no_explanation(make_campaign: Callable[..., Campaign]) -> None:
    assert explain_mismatch(make_campaign(), RequestAttributes(), SIZES, NOW) == ()


def test_every_reason_is_told_at_once(make_campaign: Callable[..., Campaign]) -> None:
    campaign = make_campaign(
        status=Status.PAUSED,
        starts_at=datetime(2026, 6, 1, tzinfo=UTC),
        timezone="Europe/Berlin",
        countries=("DEU", "FRA"),
        postal_codes=("10115",),
        radii=(GeoRadius(52.52, 13.405, 30),),
        devices=("mobile",),
        os=("ios",),
        segments=Segments(any=("a",), all=("b", "c"), none=("z",)),
        time_windows=(TimeWindow(from_hour=20, to_hour=22),),
        domains_include=("example.com",),
    )
    attributes = RequestAttributes(
        country="USA",
        devices=frozenset({"mobile", "tablet"}),
        segments=frozenset({"b", "z"}),
        on_site=True,
        domains=("other.org", "org"),
    )
    assert explain_mismatch(campaign, attributes, {(728, 90), (1, 1)}, NOW) == (
        "campaign is paused",
        "flight starts only at 2026-06-01T00:00:00+00:00",
        "outside its time windows in Europe/Berlin",
        "format (1x1, 728x90) not in (300x250)",
        "country USA not in (DEU, FRA)",
        "postal code unknown not in (10115)",
        "location unknown not within 30 km of 52.52,13.405",
        "operating system unknown not in (ios)",
        "domain other.org not among the included domains and apps",
        "user in none of the segments a",
        "user not in segment c",
        "user in excluded segment z",
    )


def test_an_ended_flight_and_an_unidentified_user_are_told(
    make_campaign: Callable[..., Campaign],
) -> None:
    campaign = make_campaign(
        ends_at=datetime(2026, 5, 1, tzinfo=UTC), segments=Segments(none=("a",)), creatives=()
    )
    assert explain_mismatch(campaign, RequestAttributes(), SIZES, NOW) == (
        "flight ended at 2026-05-01T00:00:00+00:00",
        "no active creative, or no banner in the sizes it is targeted at",
        "segments unknown: the user may not be identified",
    )
