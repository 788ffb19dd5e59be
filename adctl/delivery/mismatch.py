"""Why a campaign is not for a request, in words: targeting read one rule at a time.

Slow and plain on purpose. It is what explains a decision to people, and what CampaignIndex is
tested against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.campaign_index import within_any
from adctl.delivery.codes import normal_country
from adctl.delivery.languages import normal_language
from adctl.delivery.naming import names_of_apps, names_of_sites
from adctl.delivery.schedule import in_flight, in_time_window
from adctl.delivery.targeting import (
    canonical,
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

Mismatch = tuple[str, str]
"""A reason's word, and the same in words."""


def matches(
    campaign: Campaign, attributes: RequestAttributes, formats: Collection[Format], now: datetime
) -> bool:
    """Return whether the campaign may serve one of ``formats`` on this request."""
    return not explain_mismatch(campaign, attributes, formats, now)


def explain_mismatch(
    campaign: Campaign, attributes: RequestAttributes, formats: Collection[Format], now: datetime
) -> tuple[str, ...]:
    """Return every reason why the campaign is not for this request at ``now``; none: it is."""
    return tuple(text for _, text in _mismatches(campaign, attributes, formats, now))


def first_mismatch(
    campaign: Campaign, attributes: RequestAttributes, formats: Collection[Format], now: datetime
) -> str:
    """Return the word, of those in reasons, for the first of them; '' if there is none."""
    return next((word for word, _ in _mismatches(campaign, attributes, formats, now)), "")


def _mismatches(
    campaign: Campaign, attributes: RequestAttributes, formats: Collection[Format], now: datetime
) -> Iterator[Mismatch]:
    yield from _of_campaign(campaign, now)
    yield from _of_formats(campaign, formats)
    yield from _of_place(campaign.targeting, attributes)
    yield from _of_device(campaign.targeting, attributes)
    yield from _of_inventory(campaign.targeting, attributes)
    yield from _of_segments(campaign.targeting, attributes.segments)


def _of_campaign(campaign: Campaign, now: datetime) -> Iterator[Mismatch]:
    if campaign.status is not Status.ACTIVE:
        yield reasons.INACTIVE, f"campaign is {campaign.status}"
    if now < campaign.starts_at:
        yield reasons.FLIGHT, f"flight starts only at {campaign.starts_at.isoformat()}"
    elif not in_flight(campaign, now):
        yield (
            reasons.FLIGHT,
            f"flight ended at {campaign.ends_at.isoformat() if campaign.ends_at else ''}",
        )
    if not in_time_window(campaign, now):
        yield reasons.HOURS, f"outside its time windows in {campaign.timezone}"


def _of_formats(campaign: Campaign, formats: Collection[Format]) -> Iterator[Mismatch]:
    servable = {format_of(creative) for creative in servable_creatives(campaign)}
    if not servable:
        yield reasons.INACTIVE, "no active creative, or no banner in the sizes it is targeted at"
    elif servable.isdisjoint(formats):
        yield (
            reasons.TARGETING_FORMAT,
            f"format {_named_formats(formats)} not in {_named_formats(servable)}",
        )


def _of_place(targeting: Targeting, attributes: RequestAttributes) -> Iterator[Mismatch]:
    yield from _one(
        reasons.TARGETING_COUNTRY,
        "country",
        attributes.country,
        targeting.countries,
        normal_country,
    )
    yield from _one(
        reasons.TARGETING_REGION, "region", attributes.region, targeting.regions, canonical_region
    )
    yield from _one(reasons.TARGETING_CITY, "city", attributes.city, targeting.cities)
    yield from _one(reasons.TARGETING_METRO, "metro", attributes.metro, targeting.metros)
    yield from _one(
        reasons.TARGETING_POSTAL_CODE,
        "postal code",
        attributes.postal_code,
        targeting.postal_codes,
        canonical_postal_code,
    )
    lat, lon = attributes.lat, attributes.lon
    if targeting.radii and not within_any(targeting.radii, lat, lon):
        position = _UNKNOWN if lat is None else f"{lat},{lon}"
        circles = ", ".join(f"{c.radius_km:g} km of {c.lat},{c.lon}" for c in targeting.radii)
        yield reasons.TARGETING_LOCATION, f"location {position} not within {circles}"


def _of_device(targeting: Targeting, attributes: RequestAttributes) -> Iterator[Mismatch]:
    yield from _several(reasons.TARGETING_DEVICE, "device", attributes.devices, targeting.devices)
    yield from _several(reasons.TARGETING_OS, "operating system", attributes.systems, targeting.os)
    yield from _one(reasons.TARGETING_BROWSER, "browser", attributes.browser, targeting.browsers)
    yield from _several(
        reasons.TARGETING_CONNECTION, "connection", attributes.connections, targeting.connections
    )
    yield from _one(
        reasons.TARGETING_LANGUAGE,
        "language",
        attributes.language,
        targeting.languages,
        normal_language,
    )


def _of_inventory(targeting: Targeting, attributes: RequestAttributes) -> Iterator[Mismatch]:
    yield from _several(
        reasons.TARGETING_CATEGORY, "content category", attributes.categories, targeting.categories
    )
    domain = attributes.domains[0] if attributes.domains else ""
    if targeting.domains_include or targeting.apps_include:
        listed_site = _covers(targeting.domains_include, attributes.domains)
        listed_app = bool(attributes.bundle) and _lists(targeting.apps_include, attributes.bundle)
        if not (attributes.on_site and listed_site) and not (attributes.in_app and listed_app):
            yield (
                reasons.TARGETING_INVENTORY,
                f"{_named_place(attributes)} not among the included domains and apps",
            )
    if attributes.on_site and targeting.domains_exclude:
        if not domain:
            yield reasons.TARGETING_INVENTORY, "domain unknown, and the campaign excludes some"
        elif _covers(targeting.domains_exclude, attributes.domains):
            yield reasons.TARGETING_INVENTORY, f"domain {domain} is excluded"
    if attributes.in_app and targeting.apps_exclude:
        if not attributes.bundle:
            yield reasons.TARGETING_INVENTORY, "app unknown, and the campaign excludes some"
        elif _lists(targeting.apps_exclude, attributes.bundle):
            yield reasons.TARGETING_INVENTORY, f"app {attributes.bundle} is excluded"


def _of_segments(targeting: Targeting, segments: frozenset[str] | None) -> Iterator[Mismatch]:
    wanted = targeting.segments
    if segments is None:
        if wanted.any or wanted.all or wanted.none:
            yield reasons.TARGETING_SEGMENTS, "segments unknown: the user may not be identified"
        return
    if wanted.any and segments.isdisjoint(map(str.strip, wanted.any)):
        yield reasons.TARGETING_SEGMENTS, f"user in none of the segments {', '.join(wanted.any)}"
    missing = [segment for segment in wanted.all if segment.strip() not in segments]
    if missing:
        yield reasons.TARGETING_SEGMENTS, f"user not in segment {', '.join(missing)}"
    refused = [segment for segment in wanted.none if segment.strip() in segments]
    if refused:
        yield reasons.TARGETING_SEGMENTS, f"user in excluded segment {', '.join(refused)}"


def _one(
    word: str,
    what: str,
    known: str,
    wanted: tuple[str, ...],
    form: Callable[[str], str] = canonical,
) -> Iterator[Mismatch]:
    if wanted and (not known or form(known) not in map(form, wanted)):
        yield word, f"{what} {known or _UNKNOWN} not in ({', '.join(wanted)})"


def _several(
    word: str, what: str, known: frozenset[str], wanted: tuple[str, ...]
) -> Iterator[Mismatch]:
    if wanted and known.isdisjoint(map(canonical, wanted)):
        yield word, f"{what} {' or '.join(sorted(known)) or _UNKNOWN} not in ({', '.join(wanted)})"


def _covers(listed: tuple[str, ...], domains: tuple[str, ...]) -> bool:
    names = names_of_sites(listed)
    return any(("site", domain) in names for domain in domains)


def _lists(listed: tuple[str, ...], bundle: str) -> bool:
    return ("app", bundle) in names_of_apps(listed)


def _named_place(attributes: RequestAttributes) -> str:
    if attributes.on_site:
        return f"domain {attributes.domains[0] if attributes.domains else _UNKNOWN}"
    return f"app {attributes.bundle or _UNKNOWN}" if attributes.in_app else "a screen"


def _named_formats(formats: Collection[Format]) -> str:
    return "(" + ", ".join(sorted("x".join(map(str, key)) for key in formats)) + ")"
