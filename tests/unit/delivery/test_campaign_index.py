from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.delivery.campaign_index import CampaignIndex, distance_km
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from adctl.delivery.targeting import Format

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
        ({"countries": ("USA",)}, {"country": "usa"}, {"country": "deu"}),
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
    assert found(after, RequestAttributes(country="usa")) == [1, 2]


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


FORMATS: list[Format] = [
    (300, 250),
    (728, 90),
    (1, 1),
    (CreativeKind.VIDEO,),
    (CreativeKind.NATIVE,),
]

# A world with few values of each kind, so that campaigns and requests often meet.
PLACES = (
    {"on_site": True, "domains": ("a.com", "com")},
    {"on_site": True, "domains": ("b.a.com", "a.com", "com")},
    {"on_site": True, "domains": ("c.org", "org")},
    {"on_site": True},
    {"in_app": True, "bundle": "app.x"},
    {"in_app": True, "bundle": "app.y"},
    {"in_app": True},
    {},
)
RESTRICTIONS: dict[str, Callable[[Random], object]] = {
    "countries": lambda r: some(r, "USA", "deu"),
    "regions": lambda r: some(r, "CA", "NY"),
    "cities": lambda r: some(r, "Berlin", "Bonn"),
    "metros": lambda r: some(r, "803", "501"),
    "postal_codes": lambda r: some(r, "10 115", "20095"),
    "radii": lambda _: (BERLIN,),
    "devices": lambda r: some(r, "mobile", "tablet", "desktop"),
    "os": lambda r: some(r, "ios", "android"),
    "browsers": lambda r: some(r, "chrome", "safari"),
    "connections": lambda r: some(r, "wifi", "cellular", "4g"),
    "segments": lambda r: Segments(
        any=some(r, *"pqr") if r.random() < 0.4 else (),
        all=some(r, *"pqr") if r.random() < 0.4 else (),
        none=some(r, *"pqr") if r.random() < 0.4 else (),
    ),
    "time_windows": lambda r: (
        TimeWindow(
            weekdays=some(r, "mon", "wed", "sun") if r.random() < 0.5 else (),
            from_hour=r.randrange(12),
            to_hour=r.randrange(10, 25),
        ),
    ),
    "domains_include": lambda r: some(r, "a.com", "b.a.com", "c.org"),
    "domains_exclude": lambda r: some(r, "a.com", "b.a.com", "c.org"),
    "apps_include": lambda r: some(r, "app.x", "app.y"),
    "apps_exclude": lambda r: some(r, "app.x", "app.y"),
    "categories": lambda r: some(r, "IAB1", "IAB1-1"),
    "languages": lambda r: some(r, "en", "de"),
    "sizes": lambda r: some(r, "300x250", "728x90"),
}


def some(random: Random, *values: str) -> tuple[str, ...]:
    return tuple(random.sample(values, random.randint(1, min(2, len(values)))))


def perhaps(random: Random, *values: str) -> frozenset[str]:
    return frozenset(random.sample(values, random.randint(0, 2)))


def a_moment(random: Random) -> datetime:
    return NOW + timedelta(milliseconds=random.randint(-(10**8) * 4, 10**8 * 4))


def a_draft(random: Random) -> dict[str, Any]:
    restricted = random.sample(sorted(RESTRICTIONS), random.choice([0, 1, 1, 2, 2, 3, 5]))
    return {
        "timezone": random.choice(["UTC", "America/New_York", "Asia/Kathmandu"]),
        "bid_amount_micros": random.randint(1, 5),
        "status": random.choice([Status.ACTIVE] * 9 + [Status.PAUSED]),
        "starts_at": a_moment(random) if random.random() < 0.2 else NOW - timedelta(days=9),
        "ends_at": a_moment(random) if random.random() < 0.2 else None,
        **{name: RESTRICTIONS[name](random) for name in restricted},
    }


def a_request(random: Random) -> RequestAttributes:
    lat = random.choice([None, 52.5, 10.0])
    return RequestAttributes(
        country=random.choice(["", "usa", "deu"]),
        region=random.choice(["", "ca", "ny"]),
        city=random.choice(["", "berlin", "bonn"]),
        metro=random.choice(["", "803", "501"]),
        postal_code=random.choice(["", "10115", "20095"]),
        lat=lat,
        lon=None if lat is None else 13.4,
        devices=perhaps(random, "mobile", "tablet", "desktop"),
        systems=perhaps(random, "ios", "android"),
        browser=random.choice(["", "chrome", "safari"]),
        connections=perhaps(random, "wifi", "cellular", "4g"),
        segments=random.choice([None, perhaps(random, *"pqr"), frozenset("pqr")]),
        categories=random.choice([frozenset(), frozenset({"iab1"}), frozenset({"iab1", "iab1-1"})]),
        language=random.choice(["", "en", "de"]),
        **random.choice(PLACES),
    )


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=True))
def test_the_index_finds_what_the_plain_rules_let_through(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative], random: Random
) -> None:
    def make(number: int) -> Campaign:
        creatives = (
            make_creative(id=1),
            make_creative(id=2, width=728, height=90),
            make_creative(id=3, kind=CreativeKind.VIDEO, width=728, height=90),
            make_creative(id=4, kind=CreativeKind.NATIVE),
        )
        chosen = tuple(random.sample(creatives, random.randint(0, 3)))
        return make_campaign(number, creatives=chosen, **a_draft(random))

    def check(index: CampaignIndex, campaigns: Mapping[int, Campaign], now: datetime) -> None:
        attributes = a_request(random)
        formats = frozenset(random.sample(FORMATS, random.randint(0, 3)))
        expected = [c.id for c in campaigns.values() if matches(c, attributes, formats, now)]
        assert sorted(found(index, attributes, formats, now)) == sorted(expected)

    campaigns = {number: make(number) for number in range(random.randint(0, 80))}
    index = build(*campaigns.values())
    past: list[tuple[CampaignIndex, dict[int, Campaign]]] = []
    now = a_moment(random)
    for _ in range(random.randint(0, 20)):
        past.append((index, campaigns.copy()))
        number = random.randint(0, 90)
        if random.random() < 0.3:
            campaigns.pop(number, None)
            index = index.without_campaign(number)
        else:
            campaigns[number] = make(number)
            index = index.with_campaign(campaigns[number])
        # Mostly a little later, as time goes on; sometimes a clock is set.
        now += timedelta(minutes=random.randint(0, 40))
        now = a_moment(random) if random.random() < 0.1 else now
        check(index, campaigns, now)
    for older, those in random.sample(past, min(len(past), 5)):
        check(older, those, a_moment(random))
    for _ in range(20):
        check(index, campaigns, a_moment(random))
