"""An answer in steps, which whoever drives them may take for many requests in a row."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from adctl.delivery.auction import Verdict, Vote

if TYPE_CHECKING:
    from adctl.delivery.auction import Ledger

T = TypeVar("T")

Steps = Generator[Vote | None, list[Verdict] | None, T]
"""Yields None between two steps, and a Vote where it needs the ledger's verdicts to go on.

It is sent the verdicts then, or thrown the StoreUnavailableError in their place.
"""


def at_once(steps: Steps[T], ledger: Ledger) -> T:
    """Take one step after the other, and return what they come to. Raises what they raise."""
    told: list[Verdict] | None = None
    fault: Exception | None = None
    while True:
        try:
            vote = steps.send(told) if fault is None else steps.throw(fault)
        except StopIteration as done:
            result: T = done.value
            return result
        told = fault = None
        if vote is not None:
            try:
                told = decided(vote, ledger)
            except Exception as exc:  # noqa: BLE001 - it is for the steps to say what comes of it
                fault = exc


def decided(vote: Vote, ledger: Ledger) -> list[Verdict]:
    """Return the ledger's verdicts; see Ledger."""
    return ledger.decide(vote.auctions, vote.user_hash, vote.bucket, vote.now_ms, test=vote.test)
