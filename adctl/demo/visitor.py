"""What people do with an ad: see it, now or later, sometimes click, sometimes buy."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from urllib.parse import quote

from adctl.demo.browser import click_id_of, render
from adctl.demo.forgery import forge
from adctl.models import EventKind

if TYPE_CHECKING:
    import random

    from adctl.demo.errands import Errands
    from adctl.demo.exchange import Bid, Clearing
    from adctl.demo.tally import Tally
    from adctl.demo.wire import Reply, Wire

_NEVER_SEEN_SHARE = 0.06
_LATE_SHARE = 0.04
_REPEATED_SHARE = 0.04
_BILLED_SHARE = 0.5
# Of the ads seen, beginning with the first, so that a short run has some of everything. Real
# banners are clicked a hundred times less.
_FORGED_EVERY = 20
_CLICKED_EVERY = 12
_CONVERTED_EVERY = 24


class Visitor:
    """Plays every user's browser. Safe to share between threads; ``rng`` is the caller's own."""

    def __init__(self, tracker: str, errands: Errands, tally: Tally) -> None:
        self._tracker = tracker
        self._errands = errands
        self._tally = tally
        self._seen = itertools.count()

    def tell(
        self, wire: Wire, event_id: str, url: str, cost_nanos: int | None = None
    ) -> Reply | None:
        """Report an event; the answer if the tracker took it."""
        self._tally.send(event_id, cost_nanos)
        reply = wire.get(url)
        if reply is None or reply.status >= 500:
            self._tally.count("untold")
            return None
        if not reply.acknowledges:
            self._tally.count("wrongly_refused")
            self._tally.complain(f"HTTP {reply.status} to {event_id}")
            return None
        self._tally.acknowledge(event_id)
        return reply

    def see(self, bid: Bid, clearing: Clearing, rng: random.Random) -> None:
        """Put a won ad into a page; what follows happens later, as errands."""
        ad = render(clearing.fill_in(bid.adm), self._tracker)
        if len(ad.pixels) != 1 or not ad.links:
            self._tally.count("broken_markup")
            self._tally.complain(f"markup {bid.adm[:300]!r}")
            return
        if rng.random() < _NEVER_SEEN_SHARE:
            self._tally.count("never_seen")
            return
        late = rng.random() < _LATE_SHARE
        self._tally.count("late", int(late))
        delay_sec = rng.uniform(3, 8) if late else rng.uniform(0.05, 1.0)
        self._impression(bid.id, ad.pixels[0], clearing.cost_nanos, delay_sec)
        if rng.random() < _REPEATED_SHARE:
            again_sec = delay_sec + rng.uniform(0, 1)
            self._impression(bid.id, ad.pixels[0], clearing.cost_nanos, again_sec)
        if rng.random() < _BILLED_SHARE:
            burl = clearing.fill_in(bid.burl)
            bill_id = f"{bid.id}:{EventKind.BILL}"
            self._errands.add(delay_sec, lambda wire: self._just_tell(wire, bill_id, burl))
        number = next(self._seen)
        if number % _FORGED_EVERY == 0:
            forged = forge(ad.pixels[0], rng)
            self._errands.add(delay_sec, lambda wire: self._try_forged(wire, forged))
        if number % _CLICKED_EVERY == 0:
            buys = number % _CONVERTED_EVERY == 0
            click_sec = delay_sec + rng.uniform(0.2, 1.5)
            link = ad.links[0]
            self._errands.add(click_sec, lambda wire: self._click(wire, bid.id, link, buys=buys))

    def _impression(self, bid_id: str, pixel: str, cost_nanos: int, delay_sec: float) -> None:
        event_id = f"{bid_id}:{EventKind.IMPRESSION}"
        self._errands.add(
            delay_sec, lambda wire: self._just_tell(wire, event_id, pixel, cost_nanos)
        )

    def _just_tell(
        self, wire: Wire, event_id: str, url: str, cost_nanos: int | None = None
    ) -> None:
        self.tell(wire, event_id, url, cost_nanos)

    def _click(self, wire: Wire, bid_id: str, link: str, *, buys: bool) -> None:
        reply = self.tell(wire, f"{bid_id}:{EventKind.CLICK}", link)
        if reply is None:
            return
        click_id = click_id_of(reply.location)
        if not click_id:
            self._tally.count("lost_click_ids")
            self._tally.complain(f"a click led to {reply.location[:200]!r}")
        elif buys:
            url = f"http://{self._tracker}/track/conversion?t={quote(click_id)}"
            event_id = f"{bid_id}:{EventKind.CONVERSION}"
            self._errands.add(0.5, lambda wire: self._just_tell(wire, event_id, url))

    def _try_forged(self, wire: Wire, url: str) -> None:
        reply = wire.get(url)
        if reply is not None:  # a tracker that is down has rejected nothing
            self._tally.count("forged_sent")
            self._tally.count("forged_rejected", int(reply.status == 403))
