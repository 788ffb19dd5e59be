"""The threads that make the traffic: exchanges at a steady rate, browsers as errands fall due."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from adctl.demo.errands import Errands
from adctl.demo.exchange import Exchange
from adctl.demo.people import make_people
from adctl.demo.requests import RequestMaker
from adctl.demo.visitor import Visitor
from adctl.demo.wire import Wire

if TYPE_CHECKING:
    from adctl.config import Settings
    from adctl.demo.tally import Tally

PEOPLE = 500
_EXCHANGES = 4
_BROWSERS = 3


class Traffic:
    """Requests at ``rate`` a second in all, and what follows from them, until it is stopped.

    What a seed fixes is who asks for what; who wins depends on the campaigns' money and on time.
    """

    def __init__(
        self,
        settings: Settings,
        rate: int,
        seed: int,
        tally: Tally,
        exchange: type[Exchange] = Exchange,
    ) -> None:
        self._bidder = (settings.bidder.host, settings.bidder.port)
        self._tracker = (settings.tracker.host, settings.tracker.port)
        self._interval_sec = _EXCHANGES / rate
        self._tally = tally
        self._exchange_type = exchange
        self._errands = Errands()
        self._visitor = Visitor(f"{self._tracker[0]}:{self._tracker[1]}", self._errands, tally)
        self._people = make_people(PEOPLE, random.Random(seed))  # noqa: S311 - no secrets here
        self._stop = threading.Event()
        self._exchanges = [
            threading.Thread(target=self._exchange, args=(number, seed), daemon=True)
            for number in range(_EXCHANGES)
        ]
        self._browsers = [
            threading.Thread(target=self._browse, daemon=True) for _ in range(_BROWSERS)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in (*self._browsers, *self._exchanges):
            thread.start()

    def stop_requests(self) -> None:
        """Send no more requests; what is still to be told about bids is told right away."""
        self._stop.set()
        for thread in self._exchanges:
            thread.join()
        self._errands.hurry()

    @property
    def quiet(self) -> bool:
        """Whether everything that was to be told has been, or has been given up."""
        return self._errands.idle

    def end(self) -> None:
        """Let the browsers go, whatever is left."""
        self._errands.end()
        for thread in self._browsers:
            thread.join()

    def _exchange(self, number: int, seed: int) -> None:
        rng = random.Random(f"{seed}/{number}")  # noqa: S311 - no secrets here
        wire = Wire(*self._bidder)
        maker = RequestMaker(self._people, rng)
        exchange = self._exchange_type(maker, wire, self._visitor, self._errands, self._tally, rng)
        due = time.monotonic() + number * self._interval_sec / _EXCHANGES
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            exchange.offer()
            # What could not be sent in time is not made up for: the rate is a bound.
            due = max(due + self._interval_sec, time.monotonic())
        wire.close()

    def _browse(self) -> None:
        wire = Wire(*self._tracker)
        self._errands.work(wire)
        wire.close()
