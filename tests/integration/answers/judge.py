"""What an exchange checks of a bid before it lets it into its auction, stated once more.

Written from OpenRTB 2.6, not from the bidder: it shares no code with it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

# Named, so that every rule is known.
from tests.integration.answers import media_rules, trade_rules
from tests.integration.answers.rule import (
    RULES,
    WHOLE_RULES,
    Json,
    Placed,
    bids_of,
    deals_of,
    table,
)

__all__ = ["broken_rules", "decode", "media_rules", "trade_rules"]


def decode(body: bytes) -> Any:
    """Return what the JSON says, prices exactly. Raises ValueError for what JSON does not have."""

    def refuse(word: str) -> object:
        raise ValueError(word)

    return json.loads(body.decode(), parse_float=Decimal, parse_constant=refuse)


def broken_rules(request: Json, answer: Json) -> list[str]:
    """Return the rules that an answer with bids breaks. Empty: an exchange would take them all."""
    broken = [name for name, kept in WHOLE_RULES.items() if not kept(request, answer)]
    for seat, bid in bids_of(answer):
        imp = next((i for i in request["imp"] if table(i).get("id") == bid["impid"]), None)
        if imp is None:
            # Nothing more can be said of it; a rule of the whole has.
            continue
        # A deal without an id can be named by nobody: a bid that names none is in the open.
        named = bid.get("dealid")
        deals = [deal for deal in deals_of(imp) if named and deal.get("id") == named]
        # A deal may be listed twice; that is one too many for the exchange, not for us.
        found = [
            _broken(Placed(request, answer.get("cur") or "USD", seat, bid, imp, deal))
            for deal in (deals or [None])
        ]
        broken += min(found, key=len)
    return broken


def _broken(placed: Placed) -> list[str]:
    return [name for name, kept in RULES.items() if not kept(placed)]
