"""What block lists and slots compare of a creative, prepared once for all the requests to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

# The struct's fields, read at run time by msgspec.
from adctl.delivery.app_ids import normal_app
from adctl.delivery.domains import domain_and_above, normal_domain
from adctl.delivery.languages import normal_language
from adctl.delivery.targeting import Format, format_of
from adctl.models import Creative, CreativeKind

if TYPE_CHECKING:
    from adctl.models import Campaign


class Traits(msgspec.Struct, frozen=True, gc=False):
    """A creative as requests speak of it.

    ``domains`` are its advertiser's and those above them, ``categories`` its own and those above,
    so that a list blocks it which has one of them; ``advertiser`` only its advertiser's own, and
    ``app`` is what it advertises, '' for none. ``language`` is None where it has none.
    ``insecure``: it is a banner that loads something by plain http. ``named`` is all of it that a
    list may block, for one look; ``plain``: a banner of which nothing else can be refused.
    """

    creative: Creative
    format: Format
    domains: frozenset[str]
    advertiser: frozenset[str]
    app: str
    categories: frozenset[str]
    attr: frozenset[int]
    language: str | None
    insecure: bool
    named: frozenset[str | int]
    plain: bool


def traits_of(creative: Creative) -> Traits:
    """Return what requests compare of ``creative``."""
    advertiser = frozenset(map(normal_domain, creative.adomain)) - {""}
    domains = frozenset[str]().union(*map(domain_and_above, advertiser))
    categories = frozenset(creative.cat) | {code.split("-")[0] for code in creative.cat}
    insecure = creative.image_url.startswith("http:") or "http://" in creative.markup
    media = creative.media
    return Traits(
        creative=creative,
        format=format_of(creative),
        domains=domains,
        advertiser=advertiser,
        app=normal_app(creative.app_bundle) or creative.app_bundle.lower(),
        categories=categories,
        attr=frozenset(creative.attr),
        language=normal_language(creative.language) or None,
        insecure=insecure,
        named=domains.union(categories, creative.attr),
        # Whose it is has to be known where somebody may be blocked.
        plain=creative.kind is CreativeKind.BANNER
        and not (insecure or media.api or media.expdir or not advertiser),
    )


class KnownTraits:
    """The traits of campaigns' creatives, found out when first asked for.

    Threads may share it: two that ask at once find out the same.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Campaign, tuple[Traits, ...]]] = {}

    def of(self, campaign: Campaign) -> tuple[Traits, ...]:
        """Return the traits of the campaign's creatives, in their order."""
        known = self._known.get(campaign.id)
        # Another version of a campaign is another object.
        if known is None or known[0] is not campaign:
            traits = tuple(map(traits_of, campaign.creatives))
            known = self._known[campaign.id] = (campaign, traits)
        return known[1]
