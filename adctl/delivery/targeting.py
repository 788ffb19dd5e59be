"""What a bid request says, in the terms campaigns are targeted by.

Texts are compared trimmed and without regard to case; segment ids are compared as they are, since
data providers tell them apart by case. Domains, apps, languages and countries have one spelling
each. docs/targeting.md explains every attribute to operators.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.app_ids import app_of
from adctl.delivery.codes import normal_country
from adctl.delivery.domains import domain_and_above, normal_domain
from adctl.delivery.languages import normal_language
from adctl.delivery.user_agent import browser_of, systems_of
from adctl.delivery.vocabulary import CONNECTION_TYPES, DEVICE_TYPES
from adctl.models import Creative, CreativeKind, Status

if TYPE_CHECKING:
    from adctl.models import Campaign
    from adctl.openrtb import App, BidRequest, Device, Geo, Site, User

Size = tuple[int, int]
Format = Size | tuple[CreativeKind]
"""What a campaign is indexed by: a banner's size, or a kind that is fitted by more than a key."""

# Longer texts name no place or category; they count as unknown.
_MAX_TEXT = 256
_UNKNOWN: frozenset[str] = frozenset()
# Of an address of any length only its beginning is looked at.
_MAX_ADDRESS = 2048


class RequestAttributes(msgspec.Struct, frozen=True, gc=False):
    """What is known of one request; '', None or empty where it is not. Texts are canonical.

    ``country`` is ISO 3166-1 alpha-3, in capitals, and ``language`` ISO 639-1.
    ``lat`` and ``lon`` are degrees, both or neither. ``segments`` is None where the user may not
    be identified. ``domains`` are the site's domain and those above it, nearest first.
    ``on_site`` and ``in_app`` say what kind of inventory it is; both are False for screens.
    """

    country: str = ""
    region: str = ""
    city: str = ""
    metro: str = ""
    postal_code: str = ""
    lat: float | None = None
    lon: float | None = None
    devices: frozenset[str] = _UNKNOWN
    systems: frozenset[str] = _UNKNOWN
    browser: str = ""
    connections: frozenset[str] = _UNKNOWN
    segments: frozenset[str] | None = None
    on_site: bool = False
    in_app: bool = False
    domains: tuple[str, ...] = ()
    bundle: str = ""
    categories: frozenset[str] = _UNKNOWN
    language: str = ""


def attributes_of(
    request: BidRequest, *, segments: bool, precise_location: bool
) -> RequestAttributes:
    """Return what ``request`` says. Total: every decoded request has attributes.

    The user's segments and the precise location (latitude and longitude) are left out unless each
    is permitted.
    """
    device = request.device
    site, app = request.site, request.app
    geo = device.geo if device else None
    lat, lon = _position(geo) if precise_location and geo else (None, None)
    return RequestAttributes(
        country=normal_country(geo.country) if geo else "",
        region=canonical_region(geo.region) if geo else "",
        city=canonical(geo.city) if geo else "",
        metro=canonical(geo.metro) if geo else "",
        postal_code=canonical_postal_code(geo.zip) if geo else "",
        lat=lat,
        lon=lon,
        devices=DEVICE_TYPES.get(device.devicetype or 0, _UNKNOWN) if device else _UNKNOWN,
        systems=systems_of(device) if device else _UNKNOWN,
        browser=browser_of(device) if device else "",
        connections=(
            CONNECTION_TYPES.get(device.connectiontype or 0, _UNKNOWN) if device else _UNKNOWN
        ),
        segments=_segments(request.user) if segments else None,
        on_site=site is not None,
        in_app=app is not None,
        domains=domains_of(site) if site else (),
        bundle=app_of(app.bundle) if app else "",
        categories=_categories(site or app),
        language=_language(device, site or app),
    )


def servable_creatives(campaign: Campaign) -> tuple[Creative, ...]:
    """Return the creatives a campaign may show: the active ones.

    Sizes it is targeted at are for banners; other kinds are fitted to what a player or page takes.
    """
    if not campaign.targeting.sizes and all(c.status is Status.ACTIVE for c in campaign.creatives):
        return campaign.creatives
    allowed = target_sizes(campaign)
    return tuple(
        creative
        for creative in campaign.creatives
        if creative.status is Status.ACTIVE
        and (
            creative.kind is not CreativeKind.BANNER
            or not allowed
            or (creative.width, creative.height) in allowed
        )
    )


def format_of(creative: Creative) -> Format:
    """Return what the creative is found by."""
    if creative.kind is CreativeKind.BANNER:
        return creative.width, creative.height
    return (creative.kind,)


def target_sizes(campaign: Campaign) -> frozenset[Size]:
    """Return the sizes the campaign restricts itself to; empty if it does not."""
    return frozenset(_size(text) for text in campaign.targeting.sizes)


def canonical(text: str | None) -> str:
    """Return ``text`` as it is compared; '' if it is missing or too long to be a name."""
    return text.strip().lower() if text and len(text) <= _MAX_TEXT else ""


def canonical_region(text: str | None) -> str:
    """Return an ISO 3166-2 region without its country: ``US-MA`` is ``ma``."""
    return canonical(text).rpartition("-")[2]


def canonical_postal_code(text: str | None) -> str:
    """Return a postal code without spaces: ``SW1A 1AA`` is ``sw1a1aa``."""
    return canonical(text).replace(" ", "")


def domains_of(site: Site) -> tuple[str, ...]:
    """Return the site's domain and those above it, nearest first; none where it does not tell.

    Where ``domain`` cannot be read, the host of ``page`` tells it.
    """
    domain = site.domain
    if domain and (found := _of_site(domain) if len(domain) <= _MAX_TEXT else _read_site(domain)):
        return found
    return _read_site(site.page) if site.page else ()


def _position(geo: Geo) -> tuple[float, float] | tuple[None, None]:
    lat, lon = geo.lat, geo.lon
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None, None
    # Zero and zero is what devices without a position send; nobody lives there.
    return (lat, lon) if lat or lon else (None, None)


def _segments(user: User | None) -> frozenset[str]:
    data = user.data if user else None
    if not data:
        return _UNKNOWN
    return frozenset(
        [
            named
            for provider in data
            for segment in provider.segment or ()
            if (named := (segment.id or "").strip())
        ]
    )


def _read_site(address: str) -> tuple[str, ...]:
    domain = normal_domain(address[:_MAX_ADDRESS])
    return _of_site(domain) if domain else ()


@lru_cache(maxsize=4096)
def _of_site(text: str) -> tuple[str, ...]:
    domain = normal_domain(text)
    # No site is on a single label: that is a word, or a macro's name.
    return domain_and_above(domain) if "." in domain else ()


def _categories(inventory: Site | App | None) -> frozenset[str]:
    if inventory is None:
        return _UNKNOWN
    content = inventory.content
    told = list(inventory.cat or ())
    told += inventory.sectioncat or ()
    told += inventory.pagecat or ()
    if content is not None:
        told += content.cat or ()
    codes = set(map(canonical, told))
    codes.discard("")
    codes.update([code.partition("-")[0] for code in codes if "-" in code])
    return frozenset(codes)


def _language(device: Device | None, inventory: Site | App | None) -> str:
    if device is not None:
        found = normal_language(device.language) or normal_language(device.langb)
        if found:
            return found
    content = inventory.content if inventory else None
    if content is None:
        return ""
    return normal_language(content.language) or normal_language(content.langb)


def _size(text: str) -> Size:
    width, _, height = text.strip().lower().partition("x")
    return int(width), int(height)
