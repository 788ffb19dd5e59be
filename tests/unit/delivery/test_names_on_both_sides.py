"""A name means the same in what campaigns and creatives say and in what requests do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adctl.delivery import reasons
from adctl.delivery.currency import Rates
from adctl.delivery.deals import offered_deals
from adctl.delivery.eligibility import CreativeRules
from adctl.delivery.mismatch import matches
from adctl.delivery.place import place_of
from adctl.delivery.targeting import RequestAttributes, attributes_of
from adctl.delivery.traits import traits_of
from adctl.openrtb import BidRequest, decode_request
from tests.unit.delivery.finding import NOW, SIZES, build, found
from tests.unit.delivery.spellings import (
    BUNDLES,
    DOMAINS,
    NUMBERS,
    WAYS_OF_BUNDLES,
    WAYS_OF_DOMAINS,
    WAYS_OF_NUMBERS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.models import Campaign, Creative

    Way = Callable[[str], str]

EXAMPLES = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _two_spellings(
    names: st.SearchStrategy[str], ways: st.SearchStrategy[Way]
) -> st.SearchStrategy[tuple[str, str]]:
    return st.builds(lambda name, one, other: (one(name), other(name)), names, ways, ways)


SITES = _two_spellings(DOMAINS, WAYS_OF_DOMAINS)
APPS = st.one_of(_two_spellings(NUMBERS, WAYS_OF_NUMBERS), _two_spellings(BUNDLES, WAYS_OF_BUNDLES))


def request(**parts: Any) -> BidRequest:
    return decode_request(msgspec.json.encode({"id": "r", "imp": [{"id": "1"}], **parts}))


def attributes(**parts: Any) -> RequestAttributes:
    return attributes_of(request(**parts), segments=True, precise_location=True)


def takes(campaign: Campaign, **parts: Any) -> bool:
    """Return whether the campaign is for the request, as the index and the plain rules agree."""
    known = attributes(**parts)
    taken = found(build(campaign), known) == [campaign.id]
    assert matches(campaign, known, SIZES, NOW) is taken
    return taken


@EXAMPLES
@given(SITES)
def test_a_site_is_excluded_and_included_in_any_spelling(
    make_campaign: Callable[..., Campaign], spellings: tuple[str, str]
) -> None:
    listed, told = spellings
    excluding = make_campaign(domains_exclude=(listed,))
    including = make_campaign(domains_include=(listed,))
    assert not takes(excluding, site={"domain": told})
    assert takes(including, site={"domain": told})
    assert takes(excluding, site={"domain": "other.example.net"})
    assert not takes(including, site={"domain": "other.example.net"})


@EXAMPLES
@given(DOMAINS, WAYS_OF_DOMAINS)
def test_a_list_covers_a_site_s_subdomains_and_sites_that_only_their_page_tells(
    make_campaign: Callable[..., Campaign], domain: str, way: Way
) -> None:
    campaign = make_campaign(domains_exclude=(way(domain),))
    assert not takes(campaign, site={"domain": f"shop.{domain}"})
    assert not takes(campaign, site={"page": f"https://www.{domain}/x?y"})
    above = make_campaign(domains_exclude=(way(f"shop.{domain}"),))
    assert takes(above, site={"domain": domain})


@EXAMPLES
@given(APPS)
def test_an_app_is_excluded_and_included_in_any_spelling(
    make_campaign: Callable[..., Campaign], spellings: tuple[str, str]
) -> None:
    listed, told = spellings
    assert not takes(make_campaign(apps_exclude=(listed,)), app={"bundle": told})
    assert takes(make_campaign(apps_include=(listed,)), app={"bundle": told})
    assert takes(make_campaign(apps_exclude=(listed,)), app={"bundle": "net.other.app"})


@EXAMPLES
@given(SITES)
def test_an_advertiser_is_blocked_and_wanted_in_any_spelling(
    make_creative: Callable[..., Creative], spellings: tuple[str, str]
) -> None:
    own, listed = spellings
    traits = traits_of(make_creative(adomain=(own,)))
    assert CreativeRules(request(badv=["x.example", listed])).refusal(traits) == (
        reasons.BLOCKED_ADVERTISER
    )
    assert not CreativeRules(request(badv=["x.example"])).refusal(traits)
    for wadomain, wanted in (([listed], True), (["x.example"], False), (["?"], False)):
        imp = request(imp=[{"id": "1", "pmp": {"deals": [{"id": "d", "wadomain": wadomain}]}}]).imp[
            0
        ]
        [deal], _ = offered_deals(imp, {"d"}, "seat", Rates("USD"))
        assert deal.takes(traits) is wanted


@EXAMPLES
@given(DOMAINS, WAYS_OF_DOMAINS)
def test_a_blocked_domain_covers_advertisers_on_its_subdomains(
    make_creative: Callable[..., Creative], domain: str, way: Way
) -> None:
    traits = traits_of(make_creative(adomain=(f"shop.{domain}",)))
    assert CreativeRules(request(badv=[way(domain)])).refusal(traits) == reasons.BLOCKED_ADVERTISER


@EXAMPLES
@given(APPS)
def test_an_advertised_app_is_blocked_in_any_spelling(
    make_creative: Callable[..., Creative], spellings: tuple[str, str]
) -> None:
    own, listed = spellings
    traits = traits_of(make_creative(app_bundle=own))
    assert CreativeRules(request(bapp=[listed])).refusal(traits) == reasons.BLOCKED_APP
    assert not CreativeRules(request(bapp=["net.other.app"])).refusal(traits)


@pytest.mark.parametrize(
    "domain", ["", "?", "${DOMAIN}", "foo bar.com", "about:blank", "unknown", "http://[::1]/"]
)
def test_a_site_that_cannot_be_read_is_refused_where_sites_are_listed(
    make_campaign: Callable[..., Campaign], domain: str
) -> None:
    site = {"domain": domain}
    assert not takes(make_campaign(domains_exclude=("a.com",)), site=site)
    assert not takes(make_campaign(domains_include=("a.com",)), site=site)
    # A list of an upgrade ago that cannot be read any more lets nobody in, either.
    assert not takes(make_campaign(domains_include=("?",)), site=site)
    assert takes(make_campaign(), site=site)


@pytest.mark.parametrize("bundle", ["", "unknown", "https://example.com/app", "%%BUNDLE%%"])
def test_an_app_that_cannot_be_read_is_refused_where_apps_are_listed(
    make_campaign: Callable[..., Campaign], bundle: str
) -> None:
    app = {"bundle": bundle}
    assert not takes(make_campaign(apps_exclude=("com.a",)), app=app)
    assert not takes(make_campaign(apps_include=("com.a",)), app=app)
    assert takes(make_campaign(), app=app)


def test_a_domain_that_cannot_be_read_leaves_the_page_to_tell_the_site() -> None:
    told = attributes(site={"domain": "${DOMAIN}", "page": "https://www.müller.de/x"})
    assert told.domains == ("xn--mller-kva.de", "de")


def test_an_advertiser_nobody_told_is_not_shown_where_some_are_blocked(
    make_creative: Callable[..., Creative],
) -> None:
    unknown = traits_of(make_creative(adomain=()))
    assert not unknown.plain
    assert CreativeRules(request(badv=["x.example"])).refusal(unknown)
    assert not CreativeRules(request()).refusal(unknown)


@pytest.mark.parametrize(
    ("listed", "told"),
    [("he", "iw-IL"), ("iw", "he"), ("nb", "no-NO"), ("id", "in"), ("en", "eng")],
)
def test_a_language_is_targeted_in_codes_of_today_and_of_old(
    make_campaign: Callable[..., Campaign], listed: str, told: str
) -> None:
    campaign = make_campaign(languages=(listed,))
    assert takes(campaign, device={"language": told})
    assert takes(campaign, device={"langb": told})
    assert takes(campaign, device={"language": "?", "langb": told})
    assert takes(campaign, site={"content": {"language": told}})
    assert takes(campaign, app={"content": {"langb": told}})
    assert not takes(campaign, device={"language": "fr"}, site={"content": {"language": told}})


@pytest.mark.parametrize("field", ["wlang", "wlangb"])
@pytest.mark.parametrize(("own", "asked"), [("he", "iw-IL"), ("iw", "he"), ("nb", "no")])
def test_a_creative_s_language_is_taken_in_any_of_its_codes(
    make_creative: Callable[..., Creative], field: str, own: str, asked: str
) -> None:
    traits = traits_of(make_creative(language=own))
    assert not CreativeRules(request(**{field: [asked]})).refusal(traits)
    assert CreativeRules(request(**{field: ["fr"]})).refusal(traits) == reasons.BLOCKED_LANGUAGE


@pytest.mark.parametrize("told", ["DEU", "DE", "de", "276", " deu "])
def test_a_country_is_targeted_and_reported_in_any_of_its_codes(
    make_campaign: Callable[..., Campaign], told: str
) -> None:
    device = {"geo": {"country": told}}
    assert takes(make_campaign(countries=("DEU",)), device=device)
    assert not takes(make_campaign(countries=("USA",)), device=device)
    assert place_of(request(device=device)).country == "DEU"


@EXAMPLES
@given(SITES, APPS)
def test_a_site_or_app_is_reported_in_one_spelling(
    site: tuple[str, str], app: tuple[str, str]
) -> None:
    one, other = (place_of(request(site={"domain": told})).site for told in site)
    assert one == other != ""
    one, other = (place_of(request(app={"bundle": told})).site for told in app)
    assert one == other != ""


def test_what_names_no_site_is_not_reported_as_one() -> None:
    assert place_of(request(site={"domain": "=hyperlink(1)"})).site == ""
    assert place_of(request(app={"bundle": "=1+1"})).site == ""
    assert len(place_of(request(app={"bundle": "ab" * 90})).site) == 64
