"""The mock exchange: it offers impressions, auctions the bids against rivals, and tells who won."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.demo.requests import TMAX_MS
from adctl.models import EventKind
from adctl.money import MICROS_PER_UNIT, format_micros

if TYPE_CHECKING:
    import random

    from adctl.demo.errands import Errands
    from adctl.demo.requests import Offer, RequestMaker
    from adctl.demo.tally import Tally
    from adctl.demo.visitor import Visitor
    from adctl.demo.wire import Reply, Wire

_STEP_MICROS = 10_000
_MEDIAN_RIVAL_CPM_MICROS = 1_600_000
_LOST_TO_HIGHER_BID = 102
_NOTICE_TRIES = 4
_RETRY_SEC = 1.0


class Bid(msgspec.Struct):
    """A bid as an exchange reads it."""

    id: str
    impid: str
    price: Decimal
    adm: str
    nurl: str
    burl: str
    lurl: str


class _SeatBid(msgspec.Struct):
    bid: list[Bid]


class _BidResponse(msgspec.Struct):
    id: str
    seatbid: list[_SeatBid]
    cur: str


class Clearing(NamedTuple):
    """What a won impression costs, and how the exchange words it where the price is asked for.

    ``told`` is None where the macro is left as it was. ``cost_nanos`` is what must be booked: the
    price, or the bid's own if the exchange told none.
    """

    told: str | None
    cost_nanos: int

    def fill_in(self, text: str, loss: int = 0) -> str:
        """Return ``text`` with the auction's macros filled in, wherever they stand."""
        text = text.replace("${AUCTION_LOSS}", str(loss))
        return text if self.told is None else text.replace("${AUCTION_PRICE}", self.told)


class Exchange:
    """Offers impressions one after the other over its own wire. For one thread."""

    def __init__(
        self,
        maker: RequestMaker,
        wire: Wire,
        visitor: Visitor,
        errands: Errands,
        tally: Tally,
        rng: random.Random,
    ) -> None:
        self._maker = maker
        self._wire = wire
        self._visitor = visitor
        self._errands = errands
        self._tally = tally
        self._rng = rng

    def offer(self) -> None:
        """Send one request and do with the answer what an exchange does."""
        offer = self._maker.make()
        began = time.perf_counter()
        self._tally.count("requests")
        reply = self._wire.post("/bid-request", offer.body)
        latency_ms = (time.perf_counter() - began) * 1000
        if reply is None:
            self._tally.count("unanswered")
            return
        self._tally.timed(latency_ms)
        outcome = self._outcome(offer, reply, latency_ms)
        self._tally.count(outcome)
        if outcome == "wrong_answer":
            asked, told = offer.body[:200].decode(), reply.body[:100].decode(errors="replace")
            self._tally.complain(f"HTTP {reply.status} {told!r} to {asked!r}")

    def _outcome(self, offer: Offer, reply: Reply, latency_ms: float) -> str:
        match reply.status:
            case 204 if offer.well_formed:
                return "no_bid"
            case 400 if not offer.well_formed:
                return "refused"
            case 200 if offer.well_formed:
                # Its money stays reserved until the reservation expires.
                return "too_late" if latency_ms > TMAX_MS else self._hold_auction(offer, reply)
        return "wrong_answer"

    def _hold_auction(self, offer: Offer, reply: Reply) -> str:
        try:
            response = msgspec.json.decode(reply.body, type=_BidResponse)
        except msgspec.MsgspecError:
            return "wrong_answer"
        bids = [bid for seat in response.seatbid for bid in seat.bid]
        if response.cur != "USD" or not all(_answers(offer, bid) for bid in bids):
            return "wrong_answer"
        if offer.test:
            return "test"
        for bid in bids:
            self._auction(bid, offer.floors_micros[bid.impid])
        return "bid" if bids else "wrong_answer"

    def _auction(self, bid: Bid, floor_micros: int) -> None:
        price = int(bid.price * MICROS_PER_UNIT)
        rival = int(_MEDIAN_RIVAL_CPM_MICROS * self._rng.lognormvariate(0, 0.6))
        self._tally.count("bids")
        if price <= rival:
            self._tally.count("lost")
            self._tell_loss(bid, rival)
            return
        self._tally.count("won")
        clearing = self._clear(price, min(price, max(rival, floor_micros) + _STEP_MICROS))
        if self._rng.random() > 0.03:  # some exchanges forget
            self._tell(EventKind.WIN, bid.id, clearing.fill_in(bid.nurl))
        self._visitor.see(bid, clearing, self._rng)

    def _clear(self, bid_micros: int, price_micros: int) -> Clearing:
        unpriced = self._rng.random()
        if unpriced < 0.02:
            return Clearing(None, bid_micros)
        if unpriced < 0.04:
            return Clearing("", bid_micros)
        if unpriced < 0.06:
            return Clearing("AUDIT", bid_micros)
        return Clearing(format_micros(price_micros), price_micros)

    def _tell_loss(self, bid: Bid, rival_micros: int) -> None:
        if self._rng.random() < 0.8:
            to_beat = Clearing(format_micros(rival_micros + _STEP_MICROS), 0)
            self._tell(EventKind.LOSS, bid.id, to_beat.fill_in(bid.lurl, _LOST_TO_HIGHER_BID))

    def _tell(self, kind: EventKind, bid_id: str, url: str) -> None:
        delay_sec = self._rng.uniform(0, 0.3)
        repeats = 2 if self._rng.random() < 0.03 else 1
        for _ in range(repeats):
            self._errands.add(delay_sec, lambda wire: self._notify(wire, kind, bid_id, url, 1))

    def _notify(self, wire: Wire, kind: EventKind, bid_id: str, url: str, attempt: int) -> None:
        """Send a notice; again after a while if it was not taken (OpenRTB 2.6, 4.2.3)."""
        if self._visitor.tell(wire, f"{bid_id}:{kind}", url) or attempt == _NOTICE_TRIES:
            return
        self._errands.add(
            _RETRY_SEC, lambda wire: self._notify(wire, kind, bid_id, url, attempt + 1)
        )


def _answers(offer: Offer, bid: Bid) -> bool:
    floor = offer.floors_micros.get(bid.impid)
    return floor is not None and int(bid.price * MICROS_PER_UNIT) >= max(floor, 1)
