"""What block lists and slots compare of a creative, prepared once for all the requests to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

# The struct's fields, read at run time by msgspec.
from adctl.delivery.targeting import Format, canonical_language, format_of
from adctl.models import Creative, CreativeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.models import Campaign


class Traits(msgspec.Struct, frozen=True, gc=False):
    """A creative as requests speak of it.

    ``domains`` are its advertiser's and those above them, ``categories`` its own and those above,
    so that a list blocks it which has one of them. ``language`` is None where it has none.
    ``insecure``: it is a banner that loads something by plain http. ``named`` is all of it that a
    list may block, for one look; ``plain``: a banner of which nothing else can be refused.
    """

    creative: Creative
    format: Format
    domains: frozenset[str]
    categories: frozenset[str]
    attr: frozenset[int]
    language: str | None
    insecure: bool
    named: frozenset[str | int]
    plain: bool


def traits_of(creative: Creative) -> Traits:
    """Return what requests compare of ``creative``."""
    domains = frozenset(_with_those_above(creative.adomain))
    categories = frozenset(creative.cat) | {code.split("-")[0] for code in creative.cat}
    insecure = creative.image_url.startswith("http:") or "http://" in creative.markup
    media = creative.media
    return Traits(
        creative=creative,
        format=format_of(creative),
        domains=domains,
        categories=categories,
        attr=frozenset(creative.attr),
        language=canonical_language(creative.language) if creative.language else None,
        insecure=insecure,
        named=domains.union(categories, creative.attr),
        plain=creative.kind is CreativeKind.BANNER and not (insecure or media.api or media.expdir),
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


def _with_those_above(domains: tuple[str, ...]) -> Iterator[str]:
    for domain in domains:
        labels = domain.lower().split(".")
        for at in range(len(labels)):
            yield ".".join(labels[at:])
