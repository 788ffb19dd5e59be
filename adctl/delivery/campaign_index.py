"""Which campaigns are for a request: one AND over bitmaps, best campaigns first."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import msgspec

from adctl.delivery.bitmaps import Choices, bits_at, positions
from adctl.delivery.pages import Pages
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
from adctl.models import Status

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
    from adctl.models import Campaign, GeoRadius, Targeting

_EARTH_RADIUS_KM = 6371.0088  # the mean radius of the IUGG

# Values that stand for "some": a campaign that excludes anything also names the empty name, which
# is what a request has whose value is not known.
_UNKNOWN_DOMAIN = ("site", "")
_UNKNOWN_BUNDLE = ("app", "")
_UNKNOWN_SEGMENT = ""
_NOTHING: frozenset[Hashable] = frozenset()
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


def _required_segments(campaign: Campaign) -> Iterator[frozenset[str]]:
    yield frozenset(map(str.strip, campaign.targeting.segments.all))


def _refused_segments(campaign: Campaign) -> Iterator[str]:
    yield _UNKNOWN_SEGMENT
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

_ATTRIBUTES = tuple(name for name, *_ in (*_LISTS, *_RULES))


def _named(campaign: Campaign) -> Iterator[tuple[str, frozenset[Hashable]]]:
    """Yield the attributes the campaign restricts, and the values it names of each."""
    targeting = campaign.targeting
    for name, told, canonical_form in _LISTS:
        texts = told(targeting)
        if texts:
            yield name, frozenset(map(canonical_form, texts))
    for name, restricts, values in _RULES:
        if restricts(campaign):
            yield name, frozenset(values(campaign))


# Attributes of which a request has one value, or several at once.
_ONE = ("country", "region", "city", "metro", "postal_code", "browser", "language")
_SEVERAL = ("devices", "systems", "connections", "categories")


_GETTERS = {name: attrgetter(name) for name in (*_ONE, *_SEVERAL)}


class CampaignIndex:
    """The campaigns that may be served, findable by what a request says.

    Immutable: with_campaign and without_campaign return the next index and share with it what did
    not change, so threads may read one while another makes its successor. A campaign stands in it
    with only the creatives it may show, and not at all if it has none or is not active.
    """

    def __init__(
        self,
        campaigns: Pages[Campaign],
        position_of: Pages[int],
        size: int,
        choices: Mapping[str, Choices[Any]],
        clock: ServingClock,
        free: int = 0,
        required: Mapping[str, Sequence[frozenset[str]]] | None = None,
    ) -> None:
        self._campaigns = campaigns
        # Returns the campaign at a position; None where one has left.
        self.at: Callable[[int], Campaign | None] = campaigns.get
        self._position_of = position_of
        # Positions that are, or have been, somebody's, and as bits those that are nobody's now.
        self.size = size
        self._free = free
        self._choices = choices
        self._clock = clock
        self._one = self._restricting(_ONE)
        self._several = self._restricting(_SEVERAL)
        self._required = _by_one(choices["segments_all"].values) if required is None else required

    @classmethod
    def build(cls, campaigns: Iterable[Campaign], rank: Callable[[Campaign], int]) -> Self:
        """Return the index of ``campaigns``, those with the highest ``rank`` first."""
        servable = [found for campaign in campaigns if (found := _servable(campaign))]
        servable.sort(key=lambda campaign: (-rank(campaign), campaign.id))
        choices = _choices(servable)
        return cls(
            Pages.build(dict(enumerate(servable))),
            Pages.build({campaign.id: position for position, campaign in enumerate(servable)}),
            len(servable),
            choices,
            ServingClock.build(servable, choices["hours"]),
        )

    def __len__(self) -> int:
        return len(self._campaigns)

    @property
    def campaigns(self) -> Iterator[Campaign]:
        """Every campaign, in no order."""
        return self._campaigns.values()

    @property
    def formats(self) -> Collection[Format]:
        """Every format that some campaign can serve."""
        return self._choices["formats"].values

    @property
    def deals(self) -> Collection[str]:
        """Every deal that some campaign buys."""
        return self._choices["deals"].values

    def position_of(self, campaign_id: int) -> int | None:
        """Return the campaign's position, None if it is not there."""
        return self._position_of.get(campaign_id)

    def open_at(self, now_ms: int) -> int:
        """Return the positions of the campaigns whose flights and hours are open, as bits."""
        return self._clock.open_at(now_ms)

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
        for position in positions(self.match_bits(attributes, formats, now_ms, deal_id)):
            campaign = self._campaigns.get(position)
            if campaign is not None and is_near(campaign, attributes):
                yield campaign

    def match_bits(
        self,
        attributes: RequestAttributes,
        formats: Collection[Format],
        now_ms: int,
        deal_id: str | None = None,
    ) -> int:
        """Return the positions of the campaigns for a request, as bits.

        Of those with circles it is not yet known whether the request is in one: see is_near. They
        are few, and measured only as far as somebody reads.
        """
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
        if bits:
            bits &= self._in_audience(attributes.segments)
        return bits

    def _in_inventory(self, attributes: RequestAttributes) -> int:
        here = where(attributes)
        included = self._choices["included"].taking_any(here)
        return included & ~self._choices["excluded"].naming(here)

    def _in_audience(self, segments: frozenset[str] | None) -> int:
        of_any, of_all = self._choices["segments_any"], self._choices["segments_all"]
        of_none = self._choices["segments_none"]
        if segments is None:
            return of_any.open_to_all & of_all.open_to_all & ~of_none.naming((_UNKNOWN_SEGMENT,))
        complete = (
            needed
            for segment in _common(segments, self._required)
            for needed in self._required.get(segment, ())
            if needed <= segments
        )
        return (
            of_any.taking_any(_common(segments, of_any.values))
            & of_all.taking_any(complete)
            & ~of_none.naming(_common(segments, of_none.values))
        )

    def _restricting(
        self, names: Iterable[str]
    ) -> tuple[tuple[Callable[[RequestAttributes], Any], Choices[Any]], ...]:
        return tuple(
            (_GETTERS[name], self._choices[name]) for name in names if self._choices[name].values
        )

    def _free_place(self) -> int:
        return (self._free & -self._free).bit_length() - 1 if self._free else self.size

    def _replaced(self, position: int, after: Campaign | None) -> CampaignIndex:
        before = self._campaigns.get(position)
        named_before = dict(_named(before)) if before else {}
        named_after = dict(_named(after)) if after else {}
        bit = 1 << position
        choices = {
            name: self._choices[name].replaced(
                bit,
                None if before is None else named_before.get(name, _NOTHING),
                None if after is None else named_after.get(name, _NOTHING),
            )
            for name in _ATTRIBUTES
        }
        position_of = self._position_of
        if before is None or after is None or before.id != after.id:
            if before is not None:
                position_of = position_of.replaced(before.id, None)
            if after is not None:
                position_of = position_of.replaced(after.id, position)
        return CampaignIndex(
            self._campaigns.replaced(position, after),
            position_of,
            max(self.size, position + 1),
            choices,
            self._clock.replaced(position, before, after, choices["hours"]),
            self._free | bit if after is None else self._free & ~bit,
            self._required if choices["segments_all"] is self._choices["segments_all"] else None,
        )


def is_near(campaign: Campaign, attributes: RequestAttributes) -> bool:
    """Return whether the request is in one of the campaign's circles, if it has any."""
    radii = campaign.targeting.radii
    return not radii or within_any(radii, attributes.lat, attributes.lon)


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
    if len(creatives) == len(campaign.creatives):
        return campaign
    return msgspec.structs.replace(campaign, creatives=creatives)


def _choices(campaigns: Sequence[Campaign]) -> dict[str, Choices[Any]]:
    """Return the choices of campaigns at positions 0, 1, 2 …, by attribute."""
    places: dict[str, dict[Hashable, list[int]]] = {name: {} for name in _ATTRIBUTES}
    restricting: dict[str, list[int]] = {name: [] for name in _ATTRIBUTES}
    for position, campaign in enumerate(campaigns):
        for name, values in _named(campaign):
            restricting[name].append(position)
            at = places[name]
            for value in values:
                at.setdefault(value, []).append(position)
    everybody = (1 << len(campaigns)) - 1
    return {
        name: Choices(
            {value: bits_at(at) for value, at in places[name].items()},
            everybody ^ bits_at(restricting[name]),
        )
        for name in _ATTRIBUTES
    }


def _common(segments: frozenset[str], named: Collection[str]) -> frozenset[str]:
    """Return ``segments`` without what nobody names, where that saves looking each of them up."""
    # A request may bring thousands of them.
    return segments if len(segments) <= len(named) else segments.intersection(named)


def _by_one(required: Iterable[frozenset[str]]) -> dict[str, list[frozenset[str]]]:
    """Return sets of segments by one of each, so that only those a user can have are looked at."""
    found: dict[str, list[frozenset[str]]] = {}
    for needed in required:
        found.setdefault(min(needed), []).append(needed)
    return found
