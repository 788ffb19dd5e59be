from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adctl.delivery.campaign_index import distance_km
from adctl.delivery.mismatch import explain_mismatch, matches
from adctl.delivery.targeting import RequestAttributes
from adctl.models import (
    Campaign,
    Creative,
    CreativeKind,
    GeoRadius,
    Segments,
    Status,
    TimeWindow,
)
from tests.unit.delivery.finding import BERLIN, NOW, SIZES, build, found, milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_empty_index_matches_nothing() -> None:
    assert found(build(), RequestAttributes()) == []


def test_an_open_campaign_matches_any_request(make_campaign: Callable[..., Campaign]) -> None:
    assert found(build(make_campaign(7)), RequestAttributes()) == [7]


def test_the_best_rank_comes_first(make_campaign: Callable[..., Campaign]) -> None:
    amounts = {1: 5, 2: 50, 3: 20, 4: 50}
    campaigns = [make_campaign(number, bid_amount_micros=a) for number, a in amounts.items()]
    assert found(build(*campaigns), RequestAttributes()) == [2, 4, 3, 1]


def test_paused_and_empty_campaigns_are_not_in_it(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    index = build(
        make_campaign(1, status=Status.PAUSED),
        make_campaign(2, status=Status.ARCHIVED),
        make_campaign(3, creatives=()),
        make_campaign(4, creatives=(make_creative(status=Status.PAUSED),)),
    )
    assert len(index) == 0


def test_a_campaign_is_found_with_only_the_creatives_it_may_show(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    creatives = (make_creative(id=1), make_creative(id=2, width=728, height=90))
    index = build(make_campaign(sizes=("728x90",), creatives=creatives))
    both = frozenset({(300, 250), (728, 90)})
    (campaign,) = index.match(RequestAttributes(), both, milliseconds(NOW))
    assert [creative.id for creative in campaign.creatives] == [2]
    assert found(index, RequestAttributes(), SIZES) == []


@pytest.mark.parametrize(
    ("targeting", "fitting", "other"),
    [
        ({"countries": ("USA",)}, {"country": "USA"}, {"country": "DEU"}),
        ({"regions": ("CA",)}, {"region": "ca"}, {"region": "ny"}),
        ({"cities": ("San José ",)}, {"city": "san josé"}, {"city": "lima"}),
        ({"metros": ("803",)}, {"metro": "803"}, {"metro": "501"}),
        ({"postal_codes": ("SW1A 1AA",)}, {"postal_code": "sw1a1aa"}, {"postal_code": "n1"}),
        ({"radii": (BERLIN,)}, {"lat": 52.4, "lon": 13.06}, {"lat": 48.1, "lon": 11.6}),
        (
            {"devices": ("mobile",)},
            {"devices": frozenset({"mobile", "tablet"})},
            {"devices": frozenset({"desktop"})},
        ),
        (
            {"os": ("ios",)},
            {"systems": frozenset({"ios", "ipados"})},
            {"systems": frozenset({"android"})},
        ),
        ({"browsers": ("chrome",)}, {"browser": "chrome"}, {"browser": "safari"}),
        (
            {"connections": ("cellular",)},
            {"connections": frozenset({"cellular", "4g"})},
            {"connections": frozenset({"wifi"})},
        ),
        ({"languages": ("en",)}, {"language": "en"}, {"language": "de"}),
        (
            {"categories": ("IAB2",)},
            {"categories": frozenset({"iab2-1", "iab2"})},
            {"categories": frozenset({"iab3"})},
        ),
        (
            {"categories": ("IAB2-1",)},
            {"categories": frozenset({"iab2-1", "iab2"})},
            {"categories": frozenset({"iab2"})},
        ),
        (
            {"domains_include": ("Example.com",)},
            {"on_site": True, "domains": ("news.example.com", "example.com", "com")},
            {"on_site": True, "domains": ("badexample.com", "com")},
        ),
        (
            {"domains_exclude": ("example.com",)},
            {"on_site": True, "domains": ("other.com", "com")},
            {"on_site": True, "domains": ("news.example.com", "example.com", "com")},
        ),
        (
            {"apps_include": ("com.App",)},
            {"in_app": True, "bundle": "com.app"},
            {"in_app": True, "bundle": "com.app2"},
        ),
        (
            {"apps_exclude": ("com.App",)},
            {"in_app": True, "bundle": "com.app2"},
            {"in_app": True, "bundle": "com.app"},
        ),
        (
            {"segments": Segments(any=("a", "b"))},
            {"segments": frozenset("bz")},
            {"segments": frozenset("z")},
        ),
        (
            {"segments": Segments(all=("a", "b"))},
            {"segments": frozenset("abz")},
            {"segments": frozenset("az")},
        ),
        (
            {"segments": Segments(none=("a",))},
            {"segments": frozenset("z")},
            {"segments": frozenset("az")},
        ),
    ],
)
def test_a_restriction_lets_in_what_fits_and_neither_the_other_nor_the_unknown(
    make_campaign: Callable[..., Campaign],
    targeting: dict[str, Any],
    fitting: dict[str, Any],
    other: dict[str, Any],
) -> None:
    campaign = make_campaign(**targeting)
    index = build(campaign)
    assert found(index, RequestAttributes(**fitting)) == [1]
    assert found(index, RequestAttributes(**other)) == []
    assert explain_mismatch(campaign, RequestAttributes(**fitting), SIZES, NOW) == ()
    assert len(explain_mismatch(campaign, RequestAttributes(**other), SIZES, NOW)) == 1
    place = {name: other[name] for name in ("on_site", "in_app") if name in other}
    assert found(index, RequestAttributes(**place)) == []
    assert not matches(campaign, RequestAttributes(**place), SIZES, NOW)


def test_an_excluded_domain_wins_over_an_included_one(
    make_campaign: Callable[..., Campaign],
) -> None:
    index = build(
        make_campaign(domains_include=("example.com",), domains_exclude=("bad.example.com",))
    )
    good = RequestAttributes(on_site=True, domains=("example.com", "com"))
    bad = RequestAttributes(on_site=True, domains=("bad.example.com", "example.com", "com"))
    assert found(index, good) == [1]
    assert found(index, bad) == []


def test_included_domains_and_apps_are_one_list_of_places(
    make_campaign: Callable[..., Campaign],
) -> None:
    index = build(make_campaign(domains_include=("example.com",), apps_include=("com.app",)))
    assert found(index, RequestAttributes(on_site=True, domains=("example.com",))) == [1]
    assert found(index, RequestAttributes(in_app=True, bundle="com.app")) == [1]
    assert found(index, RequestAttributes(in_app=True, bundle="example.com")) == []
    assert found(index, RequestAttributes()) == []


def test_excluded_domains_say_nothing_about_apps(make_campaign: Callable[..., Campaign]) -> None:
    index = build(make_campaign(domains_exclude=("example.com",)))
    assert found(index, RequestAttributes(in_app=True)) == [1]


def test_blank_entries_do_not_let_the_unknown_in(make_campaign: Callable[..., Campaign]) -> None:
    for targeting in ({"countries": (" ",)}, {"domains_include": ("",)}, {"apps_include": ("",)}):
        index = build(make_campaign(**targeting))
        assert found(index, RequestAttributes()) == []
        assert found(index, RequestAttributes(on_site=True)) == []
        assert found(index, RequestAttributes(in_app=True)) == []


def test_without_permission_no_segment_restriction_is_met(
    make_campaign: Callable[..., Campaign],
) -> None:
    index = build(
        make_campaign(1, segments=Segments(any=("a",))),
        make_campaign(2, segments=Segments(all=("a",))),
        make_campaign(3, segments=Segments(none=("a",))),
        make_campaign(4),
    )
    assert found(index, RequestAttributes(segments=None)) == [4]
    assert found(index, RequestAttributes(segments=frozenset())) == [3, 4]


def test_distances_are_those_on_the_globe() -> None:
    paris, new_york = GeoRadius(48.8566, 2.3522, 0), (40.7128, -74.0060)
    assert abs(distance_km(paris, *new_york) - 5837) < 3
    assert abs(distance_km(GeoRadius(0, 179.9, 0), 0, -179.9) - 22.24) < 0.1
    assert abs(distance_km(GeoRadius(90, 0, 0), -90, 123) - 20015) < 1


def test_flights_and_windows_open_and_close_at_their_moment(
    make_campaign: Callable[..., Campaign],
) -> None:
    start, end = NOW + timedelta(minutes=5), NOW + timedelta(minutes=10)
    index = build(
        make_campaign(1, starts_at=start, ends_at=end),
        make_campaign(2, time_windows=(TimeWindow(from_hour=12, to_hour=13),)),
    )
    tick = timedelta(milliseconds=1)
    for moment, expected in [
        (NOW - tick, []),
        (NOW, [2]),
        (start - tick, [2]),
        (start, [1, 2]),
        (end - tick, [1, 2]),
        (end, [2]),
        (NOW + timedelta(hours=1) - tick, [2]),
        (NOW + timedelta(hours=1), []),
        (NOW, [2]),  # a clock that was set back
    ]:
        assert found(index, RequestAttributes(), now=moment) == expected


def test_windows_follow_their_zone_through_a_change_of_clocks(
    make_campaign: Callable[..., Campaign],
) -> None:
    index = build(
        make_campaign(timezone="Europe/Berlin", time_windows=(TimeWindow(from_hour=9, to_hour=10),))
    )
    winter, summer = datetime(2026, 3, 28, 8, tzinfo=UTC), datetime(2026, 3, 29, 7, tzinfo=UTC)
    assert found(index, RequestAttributes(), now=winter) == [1]
    assert found(index, RequestAttributes(), now=summer) == [1]
    assert found(index, RequestAttributes(), now=winter + timedelta(days=1)) == []


def test_a_window_that_opens_nothing_is_not_a_missing_one(
    make_campaign: Callable[..., Campaign],
) -> None:
    index = build(make_campaign(time_windows=(TimeWindow(from_hour=5, to_hour=5),)))
    assert found(index, RequestAttributes()) == []


def test_a_change_leaves_readers_of_the_old_index_alone(
    make_campaign: Callable[..., Campaign],
) -> None:
    before = build(make_campaign(1), make_campaign(2))
    after = before.with_campaign(make_campaign(1, countries=("USA",)))
    assert found(before, RequestAttributes()) == [1, 2]
    assert found(after, RequestAttributes()) == [2]
    assert found(after, RequestAttributes(country="USA")) == [1, 2]


def test_a_paused_campaign_leaves_and_its_place_is_taken_again(
    make_campaign: Callable[..., Campaign],
) -> None:
    index = build(make_campaign(1), make_campaign(2))
    index = index.with_campaign(make_campaign(1, status=Status.PAUSED))
    assert found(index, RequestAttributes()) == [2]
    index = index.with_campaign(make_campaign(3))
    assert found(index, RequestAttributes()) == [3, 2]
    assert len(index) == index.size == 2
    assert found(index.without_campaign(99), RequestAttributes()) == [3, 2]


def test_kinds_are_found_by_their_kind(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    index = build(
        make_campaign(1),
        make_campaign(2, creatives=(make_creative(kind=CreativeKind.VIDEO),)),
        make_campaign(3, creatives=(make_creative(), make_creative(kind=CreativeKind.NATIVE))),
    )
    assert found(index, RequestAttributes(), [(CreativeKind.VIDEO,)]) == [2]
    assert found(index, RequestAttributes(), [(CreativeKind.NATIVE,)]) == [3]
    assert found(index, RequestAttributes(), [(CreativeKind.AUDIO,)]) == []
    assert found(index, RequestAttributes(), [(300, 250)]) == [1, 3]
    assert set(index.formats) == {(300, 250), (CreativeKind.VIDEO,), (CreativeKind.NATIVE,)}
