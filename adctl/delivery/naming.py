"""What a campaign restricts itself to, as names that a request either has or has not."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from adctl.delivery.app_ids import normal_app
from adctl.delivery.codes import normal_country
from adctl.delivery.domains import normal_domain
from adctl.delivery.languages import normal_language
from adctl.delivery.serving_clock import zoned_hours
from adctl.delivery.targeting import (
    canonical,
    canonical_postal_code,
    canonical_region,
    format_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from adctl.models import Campaign, Targeting

# Values that stand for "some": a campaign that excludes anything also names the empty name, which
# is what a request has whose value is not known.
UNKNOWN_DOMAIN = ("site", "")
UNKNOWN_BUNDLE = ("app", "")
UNKNOWN_SEGMENT = ""
_UNKNOWN = frozenset((UNKNOWN_DOMAIN, UNKNOWN_BUNDLE))
# No request has it; an included name that comes out empty must not let unknown ones in.
_NOWHERE = frozenset((("site", "."),))
_LONG_LIST = 1000


def names_of_sites(domains: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Return the names of a list of domains; ('site', '') for those that cannot be read."""
    # Lists of 100,000 come again with each change of a campaign, and with each look into it.
    named_by = _kept_sites if len(domains) >= _LONG_LIST else _kept_sites.__wrapped__
    return named_by(domains)


def names_of_apps(apps: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Return the names of a list of apps; ('app', '') for those that cannot be read."""
    named_by = _kept_apps if len(apps) >= _LONG_LIST else _kept_apps.__wrapped__
    return named_by(apps)


@lru_cache(maxsize=16)
def _kept_sites(domains: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset([("site", normal_domain(domain)) for domain in domains])


@lru_cache(maxsize=16)
def _kept_apps(apps: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset([("app", normal_app(app)) for app in apps])


def _included(campaign: Campaign) -> frozenset[tuple[str, str]]:
    targeting = campaign.targeting
    names = names_of_sites(targeting.domains_include) | names_of_apps(targeting.apps_include)
    return (names - _UNKNOWN) | _NOWHERE if names & _UNKNOWN else names


def _excluded(campaign: Campaign) -> frozenset[tuple[str, str]]:
    targeting = campaign.targeting
    unknown = {UNKNOWN_DOMAIN} if targeting.domains_exclude else set()
    if targeting.apps_exclude:
        unknown.add(UNKNOWN_BUNDLE)
    return (
        names_of_sites(targeting.domains_exclude) | names_of_apps(targeting.apps_exclude) | unknown
    )


def _required_segments(campaign: Campaign) -> Iterator[frozenset[str]]:
    yield frozenset(map(str.strip, campaign.targeting.segments.all))


def _refused_segments(campaign: Campaign) -> Iterator[str]:
    yield UNKNOWN_SEGMENT
    yield from map(str.strip, campaign.targeting.segments.none)


# What a campaign names of each attribute that is a plain list. Naming nothing is taking everything.
_LISTS: tuple[tuple[str, Callable[[Targeting], tuple[str, ...]], Callable[[str], str]], ...] = (
    ("country", attrgetter("countries"), normal_country),
    ("region", attrgetter("regions"), canonical_region),
    ("city", attrgetter("cities"), canonical),
    ("metro", attrgetter("metros"), canonical),
    ("postal_code", attrgetter("postal_codes"), canonical_postal_code),
    ("browser", attrgetter("browsers"), canonical),
    ("language", attrgetter("languages"), normal_language),
    ("devices", attrgetter("devices"), canonical),
    ("systems", attrgetter("os"), canonical),
    ("connections", attrgetter("connections"), canonical),
    ("categories", attrgetter("categories"), canonical),
    ("segments_any", attrgetter("segments.any"), str.strip),
)

# And of the others: what must be there for it to name anything, and what it then names.
_RULES: tuple[
    tuple[str, Callable[[Campaign], object], Callable[[Campaign], Iterable[Hashable]]], ...
] = (
    ("formats", attrgetter("creatives"), lambda c: map(format_of, c.creatives)),
    ("deals", attrgetter("deals"), lambda c: (deal.id for deal in c.deals)),
    ("hours", attrgetter("targeting.time_windows"), zoned_hours),
    ("included", lambda c: c.targeting.domains_include or c.targeting.apps_include, _included),
    ("excluded", lambda c: c.targeting.domains_exclude or c.targeting.apps_exclude, _excluded),
    ("segments_all", attrgetter("targeting.segments.all"), _required_segments),
    ("segments_none", attrgetter("targeting.segments.none"), _refused_segments),
)

ATTRIBUTES = tuple(name for name, *_ in (*_LISTS, *_RULES))
"""Everything that a campaign may restrict itself by."""


def named(campaign: Campaign) -> Iterator[tuple[str, frozenset[Hashable]]]:
    """Yield the attributes the campaign restricts, and the values it names of each."""
    targeting = campaign.targeting
    for name, told, canonical_form in _LISTS:
        texts = told(targeting)
        if texts:
            yield name, frozenset(map(canonical_form, texts))
    for name, restricts, values in _RULES:
        if restricts(campaign):
            yield name, frozenset(values(campaign))
