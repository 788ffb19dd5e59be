"""Whether an exchange's prices look as if they were read in a wrong way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.alarms import AlarmKind

if TYPE_CHECKING:
    from collections.abc import Iterator

LOW_PERCENT = 1
"""A price of less of its bid than this is low: few auctions are won so cheaply, over and over."""

SETTINGS = {
    AlarmKind.PRICES_LOW: "price_unit",
    AlarmKind.PRICES_UNREAD: "price_encoding, price_macro, price_keys",
    AlarmKind.PRICES_ABOVE: "price_unit, price_lacks_fee_percent",
}
"""What of the exchange's section to look at, by what is odd."""


class ExchangePrices(NamedTuple):
    """How many impressions an exchange has billed lately, and how.

    ``unread`` without a price that could be read, ``above`` at one above the bid, ``low`` at less
    than LOW_PERCENT of it.
    """

    exchange: str
    billed: int
    unread: int
    above: int
    low: int

    def counts(self) -> dict[AlarmKind, int]:
        """Return how many are odd, and how."""
        return {
            AlarmKind.PRICES_LOW: self.low,
            AlarmKind.PRICES_UNREAD: self.unread,
            AlarmKind.PRICES_ABOVE: self.above,
        }

    def odd(self, percent: int, least: int) -> Iterator[tuple[AlarmKind, int]]:
        """Yield what is odd about ``percent`` of them or more, where there are ``least``."""
        if self.billed < least or not percent:
            return
        for kind, count in self.counts().items():
            if count * 100 >= self.billed * percent:
                yield kind, count
