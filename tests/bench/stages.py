"""The bidder's own CPU time per request, stage by stage, without server and stores."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import hiredis

from adctl.delivery.auction import ImpAuction
from adctl.delivery.bidding import Bidder
from adctl.delivery.candidates import CandidateSearch
from adctl.delivery.catalog import Catalog
from adctl.delivery.currency import Rates
from adctl.delivery.eligibility import CreativeRules, bidfloor_micros, offered_sizes
from adctl.delivery.markup import banner_markup
from adctl.delivery.steps import decided
from adctl.delivery.targeting import attributes_of
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import BidToken, Signer
from adctl.delivery.tracking_urls import tracking_urls
from adctl.openrtb import decode_request, encode_response
from adctl.stores.auction_ledger import RedisLedger
from tests.bench import market
from tests.bench.measurements import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from adctl.delivery.steps import Steps
    from adctl.openrtb import BidRequest
    from adctl.stores.redis import Script

RATES = Rates("USD")
TERMS = Terms("USD", "seat1", "https://t.example", True, 20, 12, 20, 60, 3600)
SIGNER = Signer({1: bytes(32)})
USER_KEY = bytes(32)
REQUESTS = 64
# The least that anybody bids.
_PRICE_MICROS = 1_000_000
# Long enough for the clock, short enough for all of it to take seconds.
_ROUND_SEC = 0.12
A_TURN = 16


class PackOnly:
    """Packs each command as it would be sent, and answers that the dearest candidate won."""

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        hiredis.pack_command(("EVALSHA", script.sha, len(keys), *keys, *args))
        # One impression, and no campaign twice in it: after three keys, one of each candidate.
        candidates = len(keys) - 3
        if candidates == 1:
            return [1, _PRICE_MICROS, 0, 1]
        return [1, _PRICE_MICROS, 2, 1, 2, *[0] * (candidates - 2)]


class Shelf:
    def __init__(self, catalog: Catalog) -> None:
        self.current = catalog


def measure(campaign_count: int, rounds: int) -> Iterator[Measurement]:
    """Yield each stage's CPU time in microseconds per request, on that many campaigns."""
    stages = Stages(campaign_count).by_name()
    taken: dict[str, list[float]] = {name: [] for name, _ in stages}
    for _ in range(rounds):
        for name, run in stages:
            taken[name].append(_cpu_us(run) / REQUESTS)
    for name, _ in stages:
        yield Measurement(f"{name}, {campaign_count:,} campaigns", "µs CPU", taken[name])


def _cpu_us(run: Callable[[], None]) -> float:
    run()
    repeats, began = 0, time.thread_time_ns()
    while (took := time.thread_time_ns() - began) < _ROUND_SEC * 1e9:
        run()
        repeats += 1
    return took / repeats / 1000


def requests() -> list[BidRequest]:
    """Return the requests measured on."""
    return [decode_request(body) for body in market.bodies(REQUESTS)]


class Stages:
    """Each stage, on all the requests at once; what it needs is prepared."""

    def __init__(self, campaign_count: int) -> None:
        self._now_ms = time.time_ns() // 1_000_000
        self._catalog = Catalog.build(market.campaigns(campaign_count))
        self._bodies, self._requests = market.bodies(REQUESTS), requests()
        self._ledger = RedisLedger(PackOnly(), 120)
        self._bidder = Bidder(
            Shelf(self._catalog), self._ledger, SIGNER, USER_KEY, TERMS, lambda: self._now_ms
        )
        auctions = [auction_of(self._catalog, one, self._now_ms) for one in self._requests]
        self._auctions = [auction for auction in auctions if auction.candidates]
        answers = [self._bidder.answer(one, "default").response for one in self._requests]
        self._responses = [response for response in answers if response]

    def by_name(self) -> list[tuple[str, Callable[[], None]]]:
        """Return the stages in the order of a bid; the last is all of them."""
        return [
            ("decode", self._decode),
            ("attributes and match, to the first campaign", self._match),
            ("attributes to the twelve dearest candidates", self._find_candidates),
            ("pack the ledger's call, read its verdict", self._pack),
            ("sign five URLs, write the markup", self._sign),
            ("encode", self._encode),
            ("all of it, one request after the other", self._answer),
            (f"all of it, each step for {A_TURN} requests", self._answer_in_turns),
        ]

    def _decode(self) -> None:
        for body in self._bodies:
            decode_request(body)

    def _match(self) -> None:
        for request in self._requests:
            attributes = attributes_of(request, segments=True, precise_location=True)
            sizes = offered_sizes(request.imp[0].banner)
            matches = self._catalog.index.matches(attributes, sizes, self._now_ms)
            next(self._catalog.dearest_first(matches, attributes), None)

    def _find_candidates(self) -> None:
        for request in self._requests:
            auction_of(self._catalog, request, self._now_ms)

    def _pack(self) -> None:
        for auction in self._auctions:
            self._ledger.decide([auction], "ab" * 16, 1, self._now_ms)

    def _sign(self) -> None:
        for auction in self._auctions:
            winner = auction.candidates[0]
            token = BidToken(
                "00" * 12,
                winner.campaign.id,
                winner.creative.id,
                "default",
                winner.bid_cpm_micros,
                self._now_ms,
                1,
                "ab" * 16,
            )
            banner_markup(winner.creative, tracking_urls(TERMS.tracker_url, SIGNER, token))

    def _encode(self) -> None:
        for response in self._responses:
            encode_response(response)

    def _answer(self) -> None:
        for body in self._bodies:
            response = self._bidder.answer(decode_request(body), "default").response
            if response:
                encode_response(response)

    def _answer_in_turns(self) -> None:
        for at in range(0, len(self._bodies), A_TURN):
            turn = [self._steps(body) for body in self._bodies[at : at + A_TURN]]
            while turn:
                turn = [steps for steps in turn if self._goes_on(steps)]

    def _steps(self, body: bytes) -> Steps[None]:
        request = decode_request(body)
        yield None
        answer = yield from self._bidder.steps(request, "default")
        if answer.response:
            encode_response(answer.response)

    def _goes_on(self, steps: Steps[None]) -> bool:
        try:
            vote = steps.send(None)
            if vote is not None:
                steps.send(decided(vote, self._ledger))
        except StopIteration:
            return False
        return True


def auction_of(catalog: Catalog, request: BidRequest, now_ms: int) -> ImpAuction:
    """Return what is put to the vote for a request's impression, found as the bidder does."""
    attributes = attributes_of(request, segments=True, precise_location=True)
    search = CandidateSearch(catalog, attributes, CreativeRules(request), TERMS, RATES, now_ms)
    [imp] = request.imp
    found, _ = search.candidates(imp, identified=True)
    return ImpAuction(imp.id, bidfloor_micros(imp, RATES) or 0, tuple(found))
