"""What a rule of answers is, and how it reads a request.

Each says in a sentence what must hold of a bid and the request it answers. A request may be
malformed where that does not matter, so rules read it without trusting its types.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

MEDIA = {1: "banner", 2: "video", 3: "audio", 4: "native"}


class Placed(NamedTuple):
    """A bid where it was made. ``deal`` is the offered deal it names, None in the open auction.

    ``currency`` is that of its price.
    """

    request: Json
    currency: str
    seat: str
    bid: Json
    imp: Json
    deal: Json | None

    @property
    def kind(self) -> str:
        return MEDIA.get(self.bid.get("mtype", 0), "")

    @property
    def slot(self) -> Json:
        return table(self.imp.get(self.kind))


RULES: dict[str, Callable[[Placed], bool]] = {}
"""Every rule of one bid by the sentence that says it; returns whether it is kept."""

WHOLE_RULES: dict[str, Callable[[Json, Json], bool]] = {}
"""Every rule of an answer as a whole, from the request and the answer."""


def rule(
    sentence: str, *kinds: str
) -> Callable[[Callable[[Placed], bool]], Callable[[Placed], bool]]:
    """Add a rule, of bids of these ``kinds``; without any, of all."""

    def add(kept: Callable[[Placed], bool]) -> Callable[[Placed], bool]:
        RULES[sentence] = lambda placed: (bool(kinds) and placed.kind not in kinds) or kept(placed)
        return kept

    return add


def whole_rule(
    sentence: str,
) -> Callable[[Callable[[Json, Json], bool]], Callable[[Json, Json], bool]]:
    """Add a rule of the answer as a whole."""

    def add(kept: Callable[[Json, Json], bool]) -> Callable[[Json, Json], bool]:
        WHOLE_RULES[sentence] = kept
        return kept

    return add


def bids_of(answer: Json) -> list[tuple[str, Json]]:
    return [(seat.get("seat"), bid) for seat in answer["seatbid"] for bid in seat["bid"]]


def deals_of(imp: Json) -> list[Json]:
    return [table(deal) for deal in listed(table(imp.get("pmp")).get("deals"))]


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def table(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def number(value: object) -> Decimal | None:
    """Return a number of JSON exactly; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(str(value))
