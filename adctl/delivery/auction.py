"""The auction inside the house: what is put to the vote for each impression, and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from adctl.decisions import CandidateOutcome

# The structs' fields, read at run time by msgspec.
from adctl.delivery import reasons
from adctl.models import Campaign, Creative, FrequencyCap
from adctl.money import ONE_IMPRESSION_PPM

if TYPE_CHECKING:
    from collections.abc import Sequence


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A campaign that could serve an impression, with the creative it would show and its bid.

    ``caps`` are those to be applied for this user: none where the campaign says to skip them.
    ``floor_micros`` is the least it may pay: long ads may have to pay more than short ones.
    For a deal (``deal_id``) it is the whole bid: what was agreed is not lowered by a runner-up.
    ``guaranteed`` deals must be bid on, so they come first. A road-block takes ``together``
    impressions of the request or none; others (0) take one. ``cut_micros`` is by how much the bid
    was lowered to its ceiling.
    """

    campaign: Campaign
    creative: Creative
    bid_cpm_micros: int
    caps: tuple[FrequencyCap, ...] = ()
    floor_micros: int = 0
    deal_id: str = ""
    guaranteed: bool = False
    together: int = 0
    cut_micros: int = 0


class ImpAuction(msgspec.Struct, frozen=True, gc=False):
    """The candidates for one impression, dearest first, none under its own floor.

    ``bidfloor_micros`` is the impression's, for the record. One display of the ad is
    ``quantity_ppm`` millionths of an impression, all of which are paid. ``passed_over`` are
    campaigns that could not be candidates, for the record too. ``more``: others could follow the
    last candidate, so that the auction is only decided if its winner and its runner-up are here.
    """

    imp_id: str
    bidfloor_micros: int
    candidates: tuple[Candidate, ...]
    quantity_ppm: int = ONE_IMPRESSION_PPM
    passed_over: tuple[CandidateOutcome, ...] = ()
    more: bool = False


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What came of one ImpAuction: places in its candidates, and a reason for each of them.

    When there is a winner, ``price_cpm_micros`` is reserved in its budget for each impression,
    in ``shard``.
    """

    winner: int | None
    price_cpm_micros: int
    runner_up: int | None
    reasons: tuple[str, ...]
    shard: int = 0

    @property
    def no_bid_reason(self) -> str:
        """Why nobody won: the dearest candidate's reason, or '' if somebody did."""
        return "" if self.winner is not None else self.reasons[0]


class Vote(msgspec.Struct, frozen=True, gc=False):
    """What the ledger is asked of a request; see Ledger.decide."""

    auctions: list[ImpAuction]
    user_hash: str
    bucket: int
    now_ms: int
    test: bool = False


class Ledger(Protocol):
    """Frequency caps and money, decided in one step for a whole request."""

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        """Choose each auction's winner and reserve its price; one Verdict per auction, in order.

        A campaign wins at most one impression of a request, a road-block all that it needs or none.
        Empty if more candidates are needed; nothing is reserved then. Only an auction that is alone
        may ask for that by its ``more``. A ``test`` reserves nothing. Raises StoreUnavailableError
        when the outcome is not known: then nothing may be bid.
        """


def outcomes(auction: ImpAuction, verdict: Verdict) -> tuple[CandidateOutcome, ...]:
    """Return each candidate's part in the decision, for the record."""
    return tuple(
        [
            CandidateOutcome(
                candidate.campaign.id,
                candidate.creative.id,
                candidate.bid_cpm_micros,
                reason,
                candidate.cut_micros,
            )
            for candidate, reason in zip(auction.candidates, verdict.reasons, strict=True)
            if reason != reasons.NOT_NEEDED
        ]
    )
