"""An answer is the same however its steps are taken, alone or among those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adctl.delivery import reasons
from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.bidding import Answer, Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.steps import at_once, decided
from adctl.delivery.terms import Terms
from adctl.delivery.tokens import Signer
from adctl.errors import StoreUnavailableError
from adctl.openrtb import decode_request
from tests.bench import market

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from adctl.delivery.auction import Vote
    from adctl.delivery.steps import Steps

NOW_MS = 1_767_225_600_000
TERMS = Terms("USD", "seat1", "https://t.example", True, 20, 12, 20, 60, 3600)


class Shelf:
    current = Catalog.build(market.campaigns(200))


class Dearest:
    """A ledger whose winner is the dearest, or that fails for some users."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        if self.failing and user_hash.startswith(tuple(self.failing)):
            raise StoreUnavailableError("away")
        return [
            Verdict(
                0,
                auction.candidates[0].bid_cpm_micros,
                None,
                (reasons.WON, *[reasons.NOT_NEEDED] * (len(auction.candidates) - 1)),
            )
            for auction in auctions
        ]


def bidder(ledger: Dearest) -> Bidder:
    return Bidder(
        Shelf(),
        ledger,
        Signer({1: bytes(32)}),
        bytes(32),
        TERMS,
        clock_ms=lambda: NOW_MS,
        make_bid_id=lambda: "ab" * 12,
    )


def taken_together(many: list[Steps[Answer]], ledger: Dearest) -> list[Answer | None]:
    """Take each step of all before the next of any, and ask only when all wait."""
    answers: list[Answer | None] = [None] * len(many)
    votes: dict[int, Vote] = {}
    going = list(range(len(many)))
    while going or votes:
        turn, going = going or list(votes), []
        for at in turn:
            try:
                asked = step(many[at], votes.pop(at, None), ledger)
            except StopIteration as done:
                answers[at] = done.value
            else:
                if asked is None:
                    going.append(at)
                else:
                    votes[at] = asked
    return answers


def step(steps: Steps[Answer], vote: Vote | None, ledger: Dearest) -> Vote | None:
    if vote is None:
        return steps.send(None)
    try:
        verdicts = decided(vote, ledger)
    except StoreUnavailableError as exc:
        return steps.throw(exc)
    return steps.send(verdicts)


@pytest.mark.parametrize("failing", ["", "01234567"])
def test_answers_are_the_same_alone_and_among_others(failing: str) -> None:
    ledger = Dearest(failing)
    requests = [decode_request(body) for body in market.mixed_bodies(80)]
    alone = [bidder(ledger).answer(request, "default") for request in requests]
    one = bidder(ledger)
    together = taken_together([one.steps(request, "default") for request in requests], ledger)
    assert together == alone
    told = {answer.decision.reason for answer in alone}
    assert "" in told
    assert (reasons.UNAVAILABLE in told) == bool(failing)


def test_what_the_ledger_raises_is_raised_where_it_was_asked_and_may_be_caught_there() -> None:
    def steps() -> Generator[Vote | None, list[Verdict] | None, str]:
        yield None
        try:
            yield next(bidder_votes())
        except StoreUnavailableError as exc:
            return str(exc)
        return ""

    class Away(Dearest):
        def decide(self, *_args: object, **_options: object) -> list[Verdict]:
            raise StoreUnavailableError("away")

    assert at_once(steps(), Away()) == "away"


def test_what_steps_do_not_catch_reaches_who_takes_them() -> None:
    class Broken(Dearest):
        def decide(self, *_args: object, **_options: object) -> list[Verdict]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bidder(Broken()).answer(decode_request(market.bodies(1)[0]), "default")


def bidder_votes() -> Generator[Vote, None, None]:
    steps = bidder(Dearest()).steps(decode_request(market.bodies(1)[0]), "default")
    for asked in steps:
        if asked is not None:
            yield asked
