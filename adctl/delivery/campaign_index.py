"""Which campaigns are for a request, best campaigns first; an index that can be changed."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING, Self

import msgspec

from adctl.delivery.bitmaps import FIRST_BITS, FIRST_POSITIONS, Matches, positions
from adctl.delivery.matching import Matching
from adctl.delivery.pages import Pages
from adctl.delivery.serving_clock import ServingClock
from adctl.delivery.targeting import servable_creatives
from adctl.models import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from adctl.delivery.targeting import Format, RequestAttributes
    from adctl.models import Campaign, GeoRadius

_EARTH_RADIUS_KM = 6371.0088  # the mean radius of the IUGG


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
        matching: Matching,
        clock: ServingClock,
        free: int = 0,
        first: Matching | None = None,
    ) -> None:
        self._campaigns = campaigns
        # Returns the campaign at a position; None where one has left.
        self.at: Callable[[int], Campaign | None] = campaigns.get
        self._position_of = position_of
        # Positions that are, or have been, somebody's, and as bits those that are nobody's now.
        self.size = size
        self._free = free
        self._matching = matching
        self._clock = clock
        # The first serve most requests, which then are compared with no others.
        if first is None:
            first = matching if size <= FIRST_POSITIONS else matching.among(FIRST_BITS)
        self._first = first

    @classmethod
    def build(cls, campaigns: Iterable[Campaign], rank: Callable[[Campaign], int]) -> Self:
        """Return the index of ``campaigns``, those with the highest ``rank`` first."""
        servable = [found for campaign in campaigns if (found := _servable(campaign))]
        servable.sort(key=lambda campaign: (-rank(campaign), campaign.id))
        matching = Matching.build(servable)
        return cls(
            Pages.build(dict(enumerate(servable))),
            Pages.build({campaign.id: position for position, campaign in enumerate(servable)}),
            len(servable),
            matching,
            ServingClock.build(servable, matching.choices["hours"]),
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
        return self._matching.choices["formats"].values

    @property
    def deals(self) -> Collection[str]:
        """Every deal that some campaign buys."""
        return self._matching.choices["deals"].values

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
        serving = self._clock.open_at(now_ms)
        for position in positions(self._matching.bits(attributes, formats, serving, deal_id)):
            campaign = self._campaigns.get(position)
            if campaign is not None and is_near(campaign, attributes):
                yield campaign

    def matches(
        self, attributes: RequestAttributes, formats: Collection[Format], now_ms: int
    ) -> Matches:
        """Return the positions of the campaigns for a request, circles aside, as is_near tells."""
        serving = self._clock.open_at(now_ms)
        first, matching = self._first, self._matching
        if first is matching:
            return Matches(matching.bits(attributes, formats, serving))
        return Matches(
            first.bits(attributes, formats, serving & FIRST_BITS),
            lambda: matching.bits(attributes, formats, serving),
        )

    def _free_place(self) -> int:
        return (self._free & -self._free).bit_length() - 1 if self._free else self.size

    def _replaced(self, position: int, after: Campaign | None) -> CampaignIndex:
        before = self._campaigns.get(position)
        bit = 1 << position
        matching = self._matching.replaced(bit, before, after)
        size = max(self.size, position + 1)
        first = None if self._first is self._matching else self._first
        if first is not None and position < FIRST_POSITIONS:
            first = first.replaced(bit, before, after)
        position_of = self._position_of
        if before is None or after is None or before.id != after.id:
            if before is not None:
                position_of = position_of.replaced(before.id, None)
            if after is not None:
                position_of = position_of.replaced(after.id, position)
        return CampaignIndex(
            self._campaigns.replaced(position, after),
            position_of,
            size,
            matching,
            self._clock.replaced(position, before, after, matching.choices["hours"]),
            self._free | bit if after is None else self._free & ~bit,
            first,
        )


def is_near(campaign: Campaign, attributes: RequestAttributes) -> bool:
    """Return whether the request is in one of the campaign's circles, if it has any."""
    radii = campaign.targeting.radii
    return not radii or within_any(radii, attributes.lat, attributes.lon)


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
