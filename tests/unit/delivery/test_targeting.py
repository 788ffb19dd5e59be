from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adctl.delivery.targeting import RequestAttributes, attributes_of, servable_creatives
from adctl.models import Campaign, Creative, CreativeKind, Status
from adctl.openrtb import decode_request

if TYPE_CHECKING:
    from collections.abc import Callable


def attributes(*, identified: bool = True, **parts: Any) -> RequestAttributes:
    body = msgspec.json.encode({"id": "r", "imp": [{"id": "1"}], **parts})
    return attributes_of(decode_request(body), segments=identified, precise_location=identified)


def test_a_request_that_says_nothing_has_no_attributes() -> None:
    assert attributes(identified=False) == RequestAttributes()


def test_places_are_read_from_the_device() -> None:
    geo = {
        "country": " usa ",
        "region": "CA",
        "city": "Los Angeles",
        "metro": "803",
        "zip": "SW1A 1AA",
        "lat": 34.05,
        "lon": -118.24,
    }
    known = attributes(device={"geo": geo}, user={"geo": {"country": "DEU"}})
    assert (known.country, known.region, known.city) == ("USA", "ca", "los angeles")
    assert (known.metro, known.postal_code) == ("803", "sw1a1aa")
    assert (known.lat, known.lon) == (34.05, -118.24)


def test_a_region_may_carry_its_country() -> None:
    assert attributes(device={"geo": {"region": "US-MA"}}).region == "ma"


@pytest.mark.parametrize(
    ("lat", "lon"), [(91, 0), (0, 181), (3723.5, -12202.6), (0, 0), (None, 5), (1e308, 1e308)]
)
def test_an_impossible_position_is_unknown(lat: float | None, lon: float | None) -> None:
    known = attributes(device={"geo": {"lat": lat, "lon": lon}})
    assert (known.lat, known.lon) == (None, None)


def test_a_position_on_the_equator_is_one() -> None:
    assert attributes(device={"geo": {"lat": 0, "lon": 9.45}}).lon == 9.45


def test_without_permission_segments_and_precise_location_are_not_read() -> None:
    parts = {
        "device": {"geo": {"country": "USA", "lat": 34.05, "lon": -118.24}},
        "user": {"data": [{"segment": [{"id": "auto"}]}]},
    }
    known = attributes(identified=False, **parts)
    assert (known.lat, known.lon, known.segments) == (None, None, None)
    assert known.country == "USA"
    assert attributes(**parts).segments == {"auto"}


def test_a_known_user_without_data_has_no_segments() -> None:
    assert attributes(user={"id": "u"}).segments == frozenset()


def test_segments_of_all_providers_count_and_keep_their_case() -> None:
    data = [{"segment": [{"id": "Ab"}, {"id": " x "}, {"id": ""}, {}]}, {"segment": [{"id": "ab"}]}]
    assert attributes(user={"data": data}).segments == {"Ab", "ab", "x"}


def test_device_and_connection_numbers_become_names() -> None:
    known = attributes(device={"devicetype": 1, "connectiontype": 6})
    assert known.devices == {"mobile", "tablet"}
    assert known.connections == {"cellular", "4g"}


@pytest.mark.parametrize("number", [0, 99, -1, 10**30])
def test_unlisted_numbers_are_unknown(number: int) -> None:
    known = attributes(device={"devicetype": number, "connectiontype": number})
    assert known.devices == known.connections == frozenset()


def test_a_domain_covers_those_above_it() -> None:
    known = attributes(site={"domain": "WWW.Shop.Example.co.uk."})
    assert known.domains == ("shop.example.co.uk", "example.co.uk", "co.uk", "uk")
    assert known.on_site


def test_the_page_tells_the_domain_if_the_site_does_not() -> None:
    assert attributes(site={"page": "https://News.example:8443/a?b"}).domains[0] == "news.example"


@pytest.mark.parametrize("page", ["", "http://[::1", "no url", "javascript:alert(1)", "x" * 10**5])
def test_a_page_that_is_no_address_tells_nothing(page: str) -> None:
    assert attributes(site={"page": page}).domains == ()


def test_apps_go_by_their_bundle() -> None:
    known = attributes(app={"bundle": "com.Example.App"})
    assert (known.bundle, known.in_app, known.on_site) == ("com.example.app", True, False)


def test_categories_come_from_everywhere_and_cover_their_parents() -> None:
    site = {
        "cat": ["IAB2-1"],
        "sectioncat": ["IAB3"],
        "pagecat": ["483"],
        "content": {"cat": ["iab9-30"]},
    }
    assert attributes(site=site).categories == {"iab2-1", "iab2", "iab3", "483", "iab9-30", "iab9"}


def test_the_device_s_language_counts_before_the_content_s() -> None:
    site = {"content": {"language": "de"}}
    assert attributes(site=site, device={"language": "EN"}).language == "en"
    assert attributes(site=site, device={"langb": "pt-BR"}).language == "pt"
    assert attributes(site=site).language == "de"


def test_texts_too_long_to_be_names_are_unknown() -> None:
    known = attributes(device={"geo": {"city": "x" * 10**6, "country": "U" * 300}})
    assert (known.city, known.country) == ("", "")


def test_active_creatives_can_be_shown_but_banners_in_the_targeted_sizes_alone(
    make_campaign: Callable[..., Campaign], make_creative: Callable[..., Creative]
) -> None:
    fitting, video = make_creative(id=1), make_creative(id=3, kind=CreativeKind.VIDEO)
    campaign = make_campaign(
        sizes=("300x250",),
        creatives=(
            fitting,
            make_creative(id=2, status=Status.PAUSED),
            video,
            make_creative(id=4, width=728, height=90),
        ),
    )
    assert servable_creatives(campaign) == (fitting, video)


def test_segments_and_precise_location_are_permitted_apart() -> None:
    request = decode_request(
        b'{"id":"r","imp":[{"id":"1"}],"device":{"geo":{"lat":52.5,"lon":13.4}},'
        b'"user":{"data":[{"segment":[{"id":"sport"}]}]}}'
    )
    only_segments = attributes_of(request, segments=True, precise_location=False)
    assert (only_segments.segments, only_segments.lat) == (frozenset({"sport"}), None)
    only_location = attributes_of(request, segments=False, precise_location=True)
    assert (only_location.segments, only_location.lat) == (None, 52.5)
