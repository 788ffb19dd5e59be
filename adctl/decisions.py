"""The record of a bid request: what was decided for each impression, and why."""

from __future__ import annotations

import msgspec


class CandidateOutcome(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One campaign's part in a decision: its bid, and why it did not win (empty if it did).

    ``creative_id`` is 0 for a campaign that was passed over. ``cut_micros`` is by how much the bid
    was lowered to its ceiling.
    """

    campaign_id: int
    creative_id: int
    bid_cpm_micros: int
    reason: str = ""
    cut_micros: int = 0


class CampaignLook(msgspec.Struct, frozen=True, gc=False):
    """What one campaign says to a request that was looked into, in a word of delivery.reasons."""

    campaign_id: int
    reason: str


class ImpDecision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What was decided for one impression offered in a request. ``winner`` 0 means no bid.

    An impression has two of these where both a deal and the open auction could be bid on;
    ``deal_id`` is the winner's. ``passed_over`` are campaigns that target the impression but could
    not be candidates, the dearest of them, in the first of its decisions.
    """

    imp_id: str
    bidfloor_micros: int
    deal_id: str = ""
    winner: int = 0
    creative_id: int = 0
    bid_id: str = ""
    price_cpm_micros: int = 0
    runner_up: int = 0
    reason: str = ""
    candidates: tuple[CandidateOutcome, ...] = ()
    passed_over: tuple[CandidateOutcome, ...] = ()


class Decision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The record of one bid request: what Kafka's ``bids`` topic carries.

    ``looks`` are there in one record of many, for some campaigns in turn.

    Holds nothing about the user: a log cannot forget one. ``user_hash`` is empty since that is so.
    """

    request_id: str
    exchange: str
    decided_at_ms: int
    bid: bool
    reason: str = ""
    imps: tuple[ImpDecision, ...] = ()
    domain: str = ""
    country: str = ""
    device: str = ""
    user_hash: str = ""
    test: bool = False
    looks: tuple[CampaignLook, ...] = ()
