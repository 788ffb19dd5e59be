"""Which campaigns are for a request: one AND over bitmaps, best campaigns first."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import msgspec

from adctl.delivery.bitmaps import Choices, build_choices, positions
from adctl.delivery.serving_clock import ServingClock, zoned_hours
from adctl.delivery.targeting import (
    canonical,
    canonical_domain,
    canonical_language,
    canonical_postal_code,
    canonical_region,
    format_of,
    servable_creatives,
)
from adctl.models import Campaign, GeoRadius, Status

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Hashable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from adctl.delivery.targeting import Format, RequestAttributes

_EARTH_RADIUS_KM = 6371.0088  # the mean radius of the IUGG

# Values that stand for "some": a campaign that excludes anything also names the empty name, which
# is what a request has whose value is not known.
_UNKNOWN_DOMAIN = ("site", "")
_UNKNOWN_BUNDLE = ("app", "")
_UNKNOWN_SEGMENT = ""
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
        yield _UNKNOWN_DOMAIN
    for domain in targeting.domains_exclude:
        yield "site", canonical_domain(domain)
    if targeting.apps_exclude:
        yield _UNKNOWN_BUNDLE
    for bundle in targeting.apps_exclude:
        yield "app", canonical(bundle)


def _required_segments(campaign: Campaign) -> tuple[frozenset[str], ...]:
    needed = frozenset(map(str.strip, campaign.targeting.segments.all))
    return (needed,) if needed else ()


def _refused_segments(campaign: Campaign) -> tuple[str, ...]:
    refused = tuple(map(str.strip, campaign.targeting.segments.none))
    return (*refused, _UNKNOWN_SEGMENT) if refused else ()


# What a campaign names of each attribute. Naming nothing is taking everything.
_NAMED: dict[str, Callable[[Campaign], Iterable[Hashable]]] = {
    "formats": lambda c: map(format_of, c.creatives),
    "deals": lambda c: (deal.id for deal in c.deals),
    "hours": zoned_hours,
    "country": lambda c: map(canonical, c.targeting.countries),
    "region": lambda c: map(canonical_region, c.targeting.regions),
    "city": lambda c: map(canonical, c.targeting.cities),
    "metro": lambda c: map(canonical, c.targeting.metros),
    "postal_code": lambda c: map(canonical_postal_code, c.targeting.postal_codes),
    "browser": lambda c: map(canonical, c.targeting.browsers),
    "language": lambda c: map(canonical_language, c.targeting.languages),
    "devices": lambda c: map(canonical, c.targeting.devices),
    "systems": lambda c: map(canonical, c.targeting.os),
    "connections": lambda c: map(canonical, c.targeting.connections),
    "categories": lambda c: map(canonical, c.targeting.categories),
    "included": _included,
    "excluded": _excluded,
    "segments_any": lambda c: map(str.strip, c.targeting.segments.any),
    "segments_all": _required_segments,
    "segments_none": _refused_segments,
}

# Attributes of which a request has one value, or several at once.
_ONE = ("country", "region", "city", "metro", "postal_code", "browser", "language")
_SEVERAL = ("devices", "systems", "connections", "categories")


class CampaignIndex:
    """The campaigns that may be served, findable by what a request says.

    Immutable: with_campaign and without_campaign return the next index and share with it what did
    not change, so threads may read one while another makes its successor. A campaign stands in it
    with only the creatives it may show, and not at all if it has none or is not active.
    """

    def __init__(
        self,
        campaigns: Sequence[Campaign | None],
        position_of: Mapping[int, int],
        choices: Mapping[str, Choices[Any]],
        clock: ServingClock,
    ) -> None:
        self._campaigns = campaigns
        self._position_of = position_of
        self._choices = choices
        self._clock = clock
        self._one = self._restricting(_ONE)
        self._several = self._restricting(_SEVERAL)
        # Required segments by one of them, so that only sets a user can have are looked at.
        self._required: dict[str, list[frozenset[str]]] = {}
        for needed in choices["segments_all"].values:
            self._required.setdefault(min(needed), []).append(needed)

    @classmethod
    def build(cls, campaigns: Iterable[Campaign], rank: Callable[[Campaign], int]) -> Self:
        """Return the index of ``campaigns``, those with the highest ``rank`` first."""
        servable = [found for campaign in campaigns if (found := _servable(campaign))]
        servable.sort(key=lambda campaign: (-rank(campaign), campaign.id))
        choices: dict[str, Choices[Any]] = {
            name: build_choices(named(campaign) for campaign in servable)
            for name, named in _NAMED.items()
        }
        position_of = {campaign.id: position for position, campaign in enumerate(servable)}
        return cls(servable, position_of, choices, ServingClock.build(servable, choices["hours"]))

    @property
    def campaigns(self) -> Sequence[Campaign | None]:
        """The campaigns by position; None where one has left."""
        return self._campaigns

    @property
    def formats(self) -> Collection[Format]:
        """Every format that some campaign can serve."""
        return self._choices["formats"].values

    def position_of(self, campaign_id: int) -> int | None:
        """Return the campaign's position, None if it is not there."""
        return self._position_of.get(campaign_id)

    def with_campaign(self, campaign: Campaign) -> CampaignIndex:
        """Return an index with ``campaign`` added, or in the place of its older version.

        An added one takes a free place or the last; its rank counts again at the next build.
        """
        servable = _servable(campaign)
        if servable is None:
            return self.without_campaign(campaign.id)
        position = self._position_of.get(campaign.id)
        return self._replaced(self._free_place() if position is None else position, servable)

    def without_campaign(self, campaign_id: int) -> CampaignIndex:
        """Return an index without that campaign; this one if it is not there."""
        position = self._position_of.get(campaign_id)
        return self if position is None else self._replaced(position, None)

    @property
    def deals(self) -> Collection[str]:
        """Every deal that some campaign buys."""
        return self._choices["deals"].values

    def match(
        self,
        attributes: RequestAttributes,
        formats: Collection[Format],
        now_ms: int,
        deal_id: str | None = None,
    ) -> Iterator[Campaign]:
        """Yield the campaigns for a request that takes one of ``formats``, best rank first.

        With ``deal_id``, only those that buy the deal.
        """
        for position in self.match_positions(attributes, formats, now_ms, deal_id):
            campaign = self._campaigns[position]
            if campaign is not None:
                yield campaign

    def match_positions(
        self,
        attributes: RequestAttributes,
        formats: Collection[Format],
        now_ms: int,
        deal_id: str | None = None,
    ) -> Iterator[int]:
        """Yield the places of the campaigns that match yields."""
        bits = self._clock.open_at(now_ms) & self._choices["formats"].naming(formats)
        if deal_id is not None:
            bits &= self._choices["deals"].naming((deal_id,))
        for known, choices in self._one:
            value = known(attributes)
            bits &= choices.taking(value) if value else choices.open_to_all
        for known, choices in self._several:
            bits &= choices.taking_any(known(attributes))
        if bits:
            bits &= self._in_inventory(attributes)
            bits &= self._in_audience(attributes.segments)
        # The few with circles are measured last, and only as far as the caller reads.
        for position in positions(bits):
            campaign = self._campaigns[position]
            radii = campaign.targeting.radii if campaign else ()
            if not radii or within_any(radii, attributes.lat, attributes.lon):
                yield position

    def _in_inventory(self, attributes: RequestAttributes) -> int:
        here = where(attributes)
        included = self._choices["included"].taking_any(here)
        return included & ~self._choices["excluded"].naming(here)

    def _in_audience(self, segments: frozenset[str] | None) -> int:
        choices = self._choices
        known = frozenset[str]() if segments is None else segments
        refused = (_UNKNOWN_SEGMENT,) if segments is None else segments
        complete = (
            needed
            for segment in known
            for needed in self._required.get(segment, ())
            if needed <= known
        )
        return (
            choices["segments_any"].taking_any(known)
            & choices["segments_all"].taking_any(complete)
            & ~choices["segments_none"].naming(refused)
        )

    def _restricting(
        self, names: Iterable[str]
    ) -> tuple[tuple[Callable[[RequestAttributes], Any], Choices[Any]], ...]:
        return tuple(
            (attrgetter(name), self._choices[name]) for name in names if self._choices[name].values
        )

    def _free_place(self) -> int:
        if len(self._position_of) == len(self._campaigns):
            return len(self._campaigns)
        return self._campaigns.index(None)

    def _replaced(self, position: int, after: Campaign | None) -> CampaignIndex:
        campaigns = list(self._campaigns)
        if position == len(campaigns):
            campaigns.append(None)
        before, campaigns[position] = campaigns[position], after
        choices = {
            name: self._choices[name].replaced(
                1 << position,
                None if before is None else named(before),
                None if after is None else named(after),
            )
            for name, named in _NAMED.items()
        }
        position_of = dict(self._position_of)
        if before is not None:
            del position_of[before.id]
        if after is not None:
            position_of[after.id] = position
        clock = self._clock.replaced(position, after, choices["hours"])
        return CampaignIndex(campaigns, position_of, choices, clock)


def where(attributes: RequestAttributes) -> list[tuple[str, str]]:
    """Return the names a request's inventory goes by in lists of sites and apps."""
    if attributes.on_site:
        return [("site", domain) for domain in attributes.domains] or [_UNKNOWN_DOMAIN]
    return [("app", attributes.bundle)] if attributes.in_app else []


def within_any(radii: Iterable[GeoRadius], lat: float | None, lon: float | None) -> bool:
    """Return whether a position lies in one of the circles; an unknown one does not."""
    if lat is None or lon is None:
        return False
    return any(distance_km(circle, lat, lon) <= circle.radius_km for circle in radii)


def distance_km(circle: GeoRadius, lat: float, lon: float) -> float:
    """Return the distance from a circle's centre on the earth's surface (haversine formula)."""
    from_lat, to_lat = radians(circle.lat), radians(lat)
    across = sin((to_lat - from_lat) / 2) ** 2
    along = cos(from_lat) * cos(to_lat) * sin(radians(lon - circle.lon) / 2) ** 2
    return 2 * _EARTH_RADIUS_KM * asin(min(1.0, sqrt(across + along)))


def _servable(campaign: Campaign) -> Campaign | None:
    creatives = servable_creatives(campaign)
    if campaign.status is not Status.ACTIVE or not creatives:
        return None
    return msgspec.structs.replace(campaign, creatives=creatives)
