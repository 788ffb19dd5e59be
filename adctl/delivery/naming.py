"""What a campaign restricts itself to, as names that a request either has or has not."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from adctl.delivery.serving_clock import zoned_hours
from adctl.delivery.targeting import (
    canonical,
    canonical_domain,
    canonical_language,
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
# No request has it; an included name that comes out empty must not let unknown ones in.
_NOWHERE = "."


def _included(campaign: Campaign) -> Iterator[tuple[str, str]]:
    targeting = campaign.targeting
    for domain in targeting.domains_include:
        yield "site", canonical_domain(domain) or _NOWHERE
    for bundle in targeting.apps_include:
        yield "app", canonical(bundle) or _NOWHERE


def _excluded(campaign: Campaign) -> Iterator[tuple[str, str]]:
    targeting = campaign.targeting
    if targeting.domains_exclude:
        yield UNKNOWN_DOMAIN
    for domain in targeting.domains_exclude:
        yield "site", canonical_domain(domain)
    if targeting.apps_exclude:
        yield UNKNOWN_BUNDLE
    for bundle in targeting.apps_exclude:
        yield "app", canonical(bundle)


def _required_segments(campaign: Campaign) -> Iterator[frozenset[str]]:
    yield frozenset(map(str.strip, campaign.targeting.segments.all))


def _refused_segments(campaign: Campaign) -> Iterator[str]:
    yield UNKNOWN_SEGMENT
    yield from map(str.strip, campaign.targeting.segments.none)


# What a campaign names of each attribute that is a plain list. Naming nothing is taking everything.
_LISTS: tuple[tuple[str, Callable[[Targeting], tuple[str, ...]], Callable[[str], str]], ...] = (
    ("country", attrgetter("countries"), canonical),
    ("region", attrgetter("regions"), canonical_region),
    ("city", attrgetter("cities"), canonical),
    ("metro", attrgetter("metros"), canonical),
    ("postal_code", attrgetter("postal_codes"), canonical_postal_code),
    ("browser", attrgetter("browsers"), canonical),
    ("language", attrgetter("languages"), canonical_language),
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
