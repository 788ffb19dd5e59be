"""Why a campaign is not for a request, in words: targeting read one rule at a time.

Slow and plain on purpose. It is what explains a decision to people, and what CampaignIndex is
tested against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery.campaign_index import within_any
from adctl.delivery.schedule import in_flight, in_time_window
from adctl.delivery.targeting import (
    canonical,
    canonical_domain,
    canonical_language,
    canonical_postal_code,
    canonical_region,
    format_of,
    servable_creatives,
)
from adctl.models import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime

    from adctl.delivery.targeting import Format, RequestAttributes
    from adctl.models import Campaign, Targeting

_UNKNOWN = "unknown"


def matches(
    campaign: Campaign, attributes: RequestAttributes, formats: Collection[Format], now: datetime
) -> bool:
    """Return whether the campaign may serve one of ``formats`` on this request."""
    return not explain_mismatch(campaign, attributes, formats, now)


def explain_mismatch(
    campaign: Campaign, attributes: RequestAttributes, formats: Collection[Format], now: datetime
) -> tuple[str, ...]:
    """Return every reason why the campaign is not for this request at ``now``; none: it is."""
    return (
        *_of_campaign(campaign, now),
        *_of_formats(campaign, formats),
        *_of_place(campaign.targeting, attributes),
        *_of_device(campaign.targeting, attributes),
        *_of_inventory(campaign.targeting, attributes),
        *_of_segments(campaign.targeting, attributes.segments),
    )


def _of_campaign(campaign: Campaign, now: datetime) -> Iterator[str]:
    if campaign.status is not Status.ACTIVE:
        yield f"campaign is {campaign.status}"
    if now < campaign.starts_at:
        yield f"flight starts only at {campaign.starts_at.isoformat()}"
    elif not in_flight(campaign, now):
        yield f"flight ended at {campaign.ends_at.isoformat() if campaign.ends_at else ''}"
    if not in_time_window(campaign, now):
        yield f"outside its time windows in {campaign.timezone}"


def _of_formats(campaign: Campaign, formats: Collection[Format]) -> Iterator[str]:
    servable = {format_of(creative) for creative in servable_creatives(campaign)}
    if not servable:
        yield "no active creative, or no banner in the sizes it is targeted at"
    elif servable.isdisjoint(formats):
        yield f"format {_named_formats(formats)} not in {_named_formats(servable)}"


def _of_place(targeting: Targeting, attributes: RequestAttributes) -> Iterator[str]:
    yield from _one("country", attributes.country.upper(), targeting.countries)
    yield from _one("region", attributes.region, targeting.regions, canonical_region)
    yield from _one("city", attributes.city, targeting.cities)
    yield from _one("metro", attributes.metro, targeting.metros)
    yield from _one(
        "postal code", attributes.postal_code, targeting.postal_codes, canonical_postal_code
    )
    lat, lon = attributes.lat, attributes.lon
    if targeting.radii and not within_any(targeting.radii, lat, lon):
        position = _UNKNOWN if lat is None else f"{lat},{lon}"
        circles = ", ".join(f"{c.radius_km:g} km of {c.lat},{c.lon}" for c in targeting.radii)
        yield f"location {position} not within {circles}"


def _of_device(targeting: Targeting, attributes: RequestAttributes) -> Iterator[str]:
    yield from _several("device", attributes.devices, targeting.devices)
    yield from _several("operating system", attributes.systems, targeting.os)
    yield from _one("browser", attributes.browser, targeting.browsers)
    yield from _several("connection", attributes.connections, targeting.connections)
    yield from _one("language", attributes.language, targeting.languages, canonical_language)


def _of_inventory(targeting: Targeting, attributes: RequestAttributes) -> Iterator[str]:
    yield from _several("content category", attributes.categories, targeting.categories)
    domain = attributes.domains[0] if attributes.domains else ""
    if targeting.domains_include or targeting.apps_include:
        listed_site = _covers(targeting.domains_include, attributes.domains)
        listed_app = bool(attributes.bundle) and _lists(targeting.apps_include, attributes.bundle)
        if not (attributes.on_site and listed_site) and not (attributes.in_app and listed_app):
            yield f"{_named_place(attributes)} not among the included domains and apps"
    if attributes.on_site and targeting.domains_exclude:
        if not domain:
            yield "domain unknown, and the campaign excludes some"
        elif _covers(targeting.domains_exclude, attributes.domains):
            yield f"domain {domain} is excluded"
    if attributes.in_app and targeting.apps_exclude:
        if not attributes.bundle:
            yield "app unknown, and the campaign excludes some"
        elif _lists(targeting.apps_exclude, attributes.bundle):
            yield f"app {attributes.bundle} is excluded"


def _of_segments(targeting: Targeting, segments: frozenset[str] | None) -> Iterator[str]:
    wanted = targeting.segments
    if segments is None:
        if wanted.any or wanted.all or wanted.none:
            yield "segments unknown: the user may not be identified"
        return
    if wanted.any and segments.isdisjoint(map(str.strip, wanted.any)):
        yield f"user in none of the segments {', '.join(wanted.any)}"
    missing = [segment for segment in wanted.all if segment.strip() not in segments]
    if missing:
        yield f"user not in segment {', '.join(missing)}"
    refused = [segment for segment in wanted.none if segment.strip() in segments]
    if refused:
        yield f"user in excluded segment {', '.join(refused)}"


def _one(
    what: str, known: str, wanted: tuple[str, ...], form: Callable[[str], str] = canonical
) -> Iterator[str]:
    if wanted and (not known or form(known) not in map(form, wanted)):
        yield f"{what} {known or _UNKNOWN} not in ({', '.join(wanted)})"


def _several(what: str, known: frozenset[str], wanted: tuple[str, ...]) -> Iterator[str]:
    if wanted and known.isdisjoint(map(canonical, wanted)):
        yield f"{what} {' or '.join(sorted(known)) or _UNKNOWN} not in ({', '.join(wanted)})"


def _covers(listed: tuple[str, ...], domains: tuple[str, ...]) -> bool:
    return any(canonical_domain(entry) in domains for entry in listed)


def _lists(listed: tuple[str, ...], bundle: str) -> bool:
    return any(canonical(entry) == bundle for entry in listed)


def _named_place(attributes: RequestAttributes) -> str:
    if attributes.on_site:
        return f"domain {attributes.domains[0] if attributes.domains else _UNKNOWN}"
    return f"app {attributes.bundle or _UNKNOWN}" if attributes.in_app else "a screen"


def _named_formats(formats: Collection[Format]) -> str:
    return "(" + ", ".join(sorted("x".join(map(str, key)) for key in formats)) + ")"
