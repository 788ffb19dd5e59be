"""How a price that an exchange tells would be read: for whoever sets up the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.delivery.price_macro import price_reader_of, why_unreadable
from adctl.money import format_micros, format_nanos

if TYPE_CHECKING:
    from adctl.config_exchange import ExchangeSettings


class PriceTrial(NamedTuple):
    """One price: what was told, the CPM it is read as, and what one impression then costs.

    Both are in the currency of the bid. ``why`` explains a price that cannot be read.
    """

    told: str
    cpm: str | None
    one_impression: str | None
    why: str


def try_price(exchange: ExchangeSettings, told: str) -> PriceTrial:
    """Return how the tracker would read ``told``."""
    cpm_micros = price_reader_of(exchange).charged(told)
    if cpm_micros is None:
        because = why_unreadable(exchange, told)
        return PriceTrial(told, None, None, f"{because}: unpriced, the bid's own price is booked")
    # A CPM in micros is the cost of one impression in nanos.
    return PriceTrial(told, format_micros(cpm_micros), format_nanos(cpm_micros), "")
