"""The highest CPM in the configuration: a decimal in the account's currency, as text."""

from __future__ import annotations

import re

from adctl.money import MAX_CPM_MICROS, AmountError, parse_micros

_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_EXPECTED = 'a price above 0 with at most six decimal places, such as "20.00", or "" for none'


def max_cpm_micros(text: str) -> int:
    """Return the price in micros; for an empty text, what no bid is above. Raises ValueError."""
    if not text:
        return MAX_CPM_MICROS
    try:
        micros = parse_micros(text) if _PRICE.fullmatch(text) else 0
    except AmountError as exc:
        raise ValueError(f"{_EXPECTED}: {exc}") from exc
    if micros <= 0:
        raise ValueError(_EXPECTED)
    return micros


def checked_max_cpm(text: str) -> str:
    """Return the text. Raises ValueError if it is no price."""
    max_cpm_micros(text)
    return text
