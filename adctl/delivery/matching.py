"""Who takes a request: one AND over bitmaps."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

from adctl.delivery.bitmaps import Choices, bits_at
from adctl.delivery.naming import ATTRIBUTES, UNKNOWN_DOMAIN, UNKNOWN_SEGMENT, named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

    from adctl.delivery.targeting import Format, RequestAttributes
    from adctl.models import Campaign

_NOTHING: frozenset[Hashable] = frozenset()

# Attributes of which a request has one value, or several at once.
_ONE = ("country", "region", "city", "metro", "postal_code", "browser", "language")
_SEVERAL = ("devices", "systems", "connections", "categories")
_GETTERS = {name: attrgetter(name) for name in (*_ONE, *_SEVERAL)}
# And what takes more than looking a value up.
_OF_INVENTORY = ("included", "excluded")
_OF_AUDIENCE = ("segments_any", "segments_all", "segments_none")


class Matching:
    """What campaigns restrict themselves to, as bits of their positions. Immutable."""

    __slots__ = ("_all", "_by_audience", "_by_inventory", "_one", "_several", "choices")

    def __init__(
        self,
        choices: Mapping[str, Choices[Any]],
        needed: Mapping[str, Sequence[frozenset[str]]] | None = None,
    ) -> None:
        self.choices = choices
        self._one = self._restricting(_ONE)
        self._several = self._restricting(_SEVERAL)
        # What nobody restricts is not looked at.
        self._by_inventory = any(choices[name].values for name in _OF_INVENTORY)
        self._by_audience = any(choices[name].values for name in _OF_AUDIENCE)
        self._all = _by_one(choices["segments_all"].values) if needed is None else needed

    @classmethod
    def build(cls, campaigns: Sequence[Campaign]) -> Self:
        """Return what campaigns at positions 0, 1, 2 … restrict themselves to."""
        return cls(_choices(campaigns))

    def among(self, bits: int) -> Matching:
        """Return the same of the campaigns at these positions only."""
        return Matching({name: told.among(bits) for name, told in self.choices.items()})

    def replaced(self, bit: int, before: Campaign | None, after: Campaign | None) -> Matching:
        """Return the same with another campaign, or nobody, in the place of ``bit``."""
        named_before = dict(named(before)) if before else {}
        named_after = dict(named(after)) if after else {}
        choices = {
            name: self.choices[name].replaced(
                bit,
                None if before is None else named_before.get(name, _NOTHING),
                None if after is None else named_after.get(name, _NOTHING),
            )
            for name in ATTRIBUTES
        }
        same = choices["segments_all"] is self.choices["segments_all"]
        return Matching(choices, self._all if same else None)

    def bits(
        self,
        attributes: RequestAttributes,
        formats: Collection[Format],
        serving: int,
        deal_id: str | None = None,
    ) -> int:
        """Return the campaigns of ``serving`` for a request that takes one of ``formats``.

        With ``deal_id``, only those that buy the deal. Of those with circles it is not yet known
        whether the request is in one: see is_near. They are few, and measured only as far as
        somebody reads.
        """
        bits = serving & self.choices["formats"].naming(formats)
        if deal_id is not None:
            bits &= self.choices["deals"].naming((deal_id,))
        for known, choices in self._one:
            value = known(attributes)
            bits &= choices.taking(value) if value else choices.open_to_all
        for known, choices in self._several:
            bits &= choices.taking_any(known(attributes))
        if bits and self._by_inventory:
            bits &= self._in_inventory(attributes)
        if bits and self._by_audience:
            bits &= self._in_audience(attributes.segments)
        return bits

    def _in_inventory(self, attributes: RequestAttributes) -> int:
        here = _where(attributes)
        included = self.choices["included"].taking_any(here)
        return included & ~self.choices["excluded"].naming(here)

    def _in_audience(self, segments: frozenset[str] | None) -> int:
        of_any, of_all = self.choices["segments_any"], self.choices["segments_all"]
        of_none = self.choices["segments_none"]
        if segments is None:
            return of_any.open_to_all & of_all.open_to_all & ~of_none.naming((UNKNOWN_SEGMENT,))
        bits = of_any.taking_any(_common(segments, of_any.values))
        if self._all:
            complete = (
                needed
                for segment in _common(segments, self._all)
                for needed in self._all.get(segment, ())
                if needed <= segments
            )
            bits &= of_all.taking_any(complete)
        if of_none.values:
            bits &= ~of_none.naming(_common(segments, of_none.values))
        return bits

    def _restricting(
        self, names: Iterable[str]
    ) -> tuple[tuple[Callable[[RequestAttributes], Any], Choices[Any]], ...]:
        return tuple(
            (_GETTERS[name], self.choices[name]) for name in names if self.choices[name].values
        )


def _where(attributes: RequestAttributes) -> list[tuple[str, str]]:
    """Return the names a request's inventory goes by in lists of sites and apps."""
    if attributes.on_site:
        return [("site", domain) for domain in attributes.domains] or [UNKNOWN_DOMAIN]
    return [("app", attributes.bundle)] if attributes.in_app else []


def _choices(campaigns: Sequence[Campaign]) -> dict[str, Choices[Any]]:
    """Return the choices of campaigns at positions 0, 1, 2 …, by attribute."""
    places: dict[str, dict[Hashable, list[int]]] = {name: {} for name in ATTRIBUTES}
    restricting: dict[str, list[int]] = {name: [] for name in ATTRIBUTES}
    for position, campaign in enumerate(campaigns):
        for name, values in named(campaign):
            restricting[name].append(position)
            at = places[name]
            for value in values:
                at.setdefault(value, []).append(position)
    everybody = (1 << len(campaigns)) - 1
    # A campaign may name 100,000 domains: what is the same for all of them is held once.
    bits: dict[tuple[int, ...], int] = {}

    def shared(at: list[int]) -> int:
        key = tuple(at)
        found = bits.get(key)
        if found is None:
            found = bits[key] = bits_at(at)
        return found

    return {
        name: Choices(
            {value: shared(at) for value, at in places[name].items()},
            everybody ^ bits_at(restricting[name]),
        )
        for name in ATTRIBUTES
    }


def _common(segments: frozenset[str], known: Collection[str]) -> frozenset[str]:
    """Return ``segments`` without what nobody names, where that saves looking each of them up."""
    # A request may bring thousands of them.
    return segments if len(segments) <= len(known) else segments.intersection(known)


def _by_one(required: Iterable[frozenset[str]]) -> dict[str, list[frozenset[str]]]:
    """Return sets of segments by one of each, so that only those a user can have are looked at."""
    found: dict[str, list[frozenset[str]]] = {}
    for needed in required:
        found.setdefault(min(needed), []).append(needed)
    return found
