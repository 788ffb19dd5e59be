"""The Kafka topics, what each carries and by which key, and which event goes where."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from adctl.alarms import Alarm
from adctl.decisions import Decision
from adctl.models import CampaignChange, DeadLetter, Event, EventKind

BIDS = "bids"
WINS = "wins"
IMPRESSIONS = "impressions"
CLICKS = "clicks"
CONVERSIONS = "conversions"
CAMPAIGNS = "campaigns"
ALARMS = "alarms"
DEAD_LETTERS = "dead-letters"


class Topic(NamedTuple):
    """What a topic carries, and what its messages' key is: those of one key stay in order."""

    message: type[msgspec.Struct]
    key: str
    compacted: bool = False


OF_NAME = {
    BIDS: Topic(Decision, "request id"),  # may be dropped (and counted) under pressure
    WINS: Topic(Event, "bid id"),  # of kind win, bill or loss
    IMPRESSIONS: Topic(Event, "bid id"),
    CLICKS: Topic(Event, "bid id"),
    CONVERSIONS: Topic(Event, "bid id"),
    CAMPAIGNS: Topic(CampaignChange, "campaign id", compacted=True),
    ALARMS: Topic(Alarm, "campaign id"),
    DEAD_LETTERS: Topic(DeadLetter, "origin"),
}

ALL = tuple(OF_NAME)

OF_EVENT = {
    EventKind.WIN: WINS,
    EventKind.BILL: WINS,
    EventKind.LOSS: WINS,
    EventKind.IMPRESSION: IMPRESSIONS,
    EventKind.CLICK: CLICKS,
    EventKind.CONVERSION: CONVERSIONS,
}
