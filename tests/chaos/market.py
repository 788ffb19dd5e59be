"""Campaigns that run dry within seconds, and an exchange that contradicts itself."""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import TYPE_CHECKING

from adctl.demo.browser import render
from adctl.demo.exchange import Bid, Exchange
from adctl.models import EventKind
from tests.chaos.batches import Batches

if TYPE_CHECKING:
    from collections.abc import Container

    from adctl.demo.campaigns import Sample
    from adctl.demo.wire import Wire

_SIZES = ("300x250", "320x50", "728x90", "160x600", "970x250", "320x480")
_CONTRARY_SHARE = 0.06
_BATCHED_ONE_IN = 3
_OTHER_PRICE = "0.77"

SAMPLES: tuple[Sample, ...] = tuple(
    ("Chaos", name, _SIZES, {"pacing": "asap", **fields})
    for name, fields in (
        ("a few beans", {"budget": "0.02", "bid": "9.50"}),
        ("some beans", {"budget": "0.06", "bid": "8.00"}),
        ("more beans", {"budget": "0.3", "bid": "7.00"}),
        ("beans of a day", {"budget": "100", "daily_budget": "0.15", "bid": "6.00"}),
        ("once each", {"budget": "100", "bid": "7.50", "caps": ["1/24h"]}),
        ("clicks", {"budget": "0.4", "strategy": "cpc", "bid": "2.40"}),
        ("evenly", {"budget": "100", "daily_budget": "50", "bid": "4.00", "pacing": "even"}),
        ("always there", {"budget": "1000", "bid": "3.00"}),
    )
)
DEAREST_NANOS = 10_000_000
DRY = ("a few beans", "some beans", "more beans", "beans of a day")


class ContraryExchange(Exchange):
    """Also tells what cannot be: losses of what was won, wins of what was lost, other prices.

    A third of the bids have their notices posted in batches.
    ``stored`` are the impressions that PostgreSQL has.
    """

    stored: Container[str]

    def _auction(self, bid: Bid, floor_micros: int) -> None:
        super()._auction(bid, floor_micros)
        for kind, url in (
            (EventKind.LOSS, bid.lurl),
            (EventKind.WIN, bid.nurl),
            (EventKind.BILL, bid.burl),
        ):
            if self._rng.random() < _CONTRARY_SHARE:
                self._tell_later(kind, bid.id, url.replace("${AUCTION_PRICE}", _OTHER_PRICE))
        if self._rng.random() < _CONTRARY_SHARE:
            self._tell_another_price(bid)

    @cached_property
    def _batches(self) -> Batches:
        return Batches(self._errands, self._tally)

    def _notify(self, wire: Wire, kind: EventKind, bid_id: str, url: str, attempt: int) -> None:
        if zlib.crc32(bid_id.encode()) % _BATCHED_ONE_IN:
            super()._notify(wire, kind, bid_id, url, attempt)
        else:
            self._batches.add(f"{bid_id}:{kind}", kind, url)

    def _tell_later(self, kind: EventKind, bid_id: str, url: str) -> None:
        url = url.replace("${AUCTION_LOSS}", "102")
        self._errands.add(
            self._rng.uniform(0, 9), lambda wire: self._notify(wire, kind, bid_id, url, 1)
        )

    def _tell_another_price(self, bid: Bid) -> None:
        """Have an impression that was taken told again at another price, which must not count.

        But not before PostgreSQL has it: of two that wait in trackers' spools or journals, which
        comes out first is nobody's promise.
        """
        markup = bid.adm.replace("${AUCTION_PRICE}", _OTHER_PRICE)
        pixels = render(markup, self._visitor._tracker).pixels
        event_id = f"{bid.id}:{EventKind.IMPRESSION}"

        def tell(wire: Wire) -> None:
            if event_id in self.stored:
                self._visitor.tell(wire, event_id, pixels[0])

        self._errands.add(self._rng.uniform(1, 9), tell)


def beside(exchange: type[ContraryExchange], stored: Container[str]) -> type[ContraryExchange]:
    """Return the exchange for a product that has stored that much."""
    return type(exchange.__name__, (exchange,), {"stored": stored})
