"""The deals a campaign buys, as people write them: ``deal-1``, or ``deal-1=3.50`` with a price."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from adctl.models import Deal
from adctl.money import AmountError, format_micros, parse_micros

if TYPE_CHECKING:
    from adctl.control.fields import FieldReader

_MOST_DEALS = 100
_ID = re.compile(r"[!-<>-~]{1,128}")
_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_EXPECTED = (
    "a deal's id, or ID=PRICE such as deal-1=3.50: no spaces, and a price above 0 for "
    "1,000 impressions"
)


def read_deals(reader: FieldReader) -> list[Deal]:
    """Return the deals in the field ``deals``; faults go to ``reader``."""
    deals: dict[str, Deal] = {}
    for item in reader.items("deals", _MOST_DEALS):
        deal = parse_deal(item) if isinstance(item, str) else None
        if deal is None:
            reader.reject("deals", item, _EXPECTED)
        elif deals.setdefault(deal.id, deal) != deal:
            reader.reject("deals", item, f"one price per deal; {format_deal(deals[deal.id])} is it")
    return list(deals.values())


def parse_deal(text: str) -> Deal | None:
    """Return the deal that ``deal-1=3.50`` means; None if it means none."""
    name, separator, price = text.strip().partition("=")
    if not _ID.fullmatch(name) or (separator and not _PRICE.fullmatch(price)):
        return None
    try:
        micros = parse_micros(price) if separator else None
    except AmountError:
        return None
    return None if micros == 0 else Deal(name, micros)


def format_deal(deal: Deal) -> str:
    """Return a deal as people write it."""
    if deal.bid_amount_micros is None:
        return deal.id
    return f"{deal.id}={format_micros(deal.bid_amount_micros)}"
