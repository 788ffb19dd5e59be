"""The Kafka topics, what each carries and by which key, and which event goes where."""

from __future__ import annotations

from adctl.models import EventKind

BIDS = "bids"  # Decision, keyed by request id; may be dropped (and counted) under pressure
WINS = "wins"  # Event of kind win, bill or loss, keyed by bid id
IMPRESSIONS = "impressions"  # Event, keyed by bid id
CLICKS = "clicks"  # Event, keyed by bid id
CONVERSIONS = "conversions"  # Event, keyed by bid id
CAMPAIGNS = "campaigns"  # CampaignChange, keyed by campaign id; compacted

ALL = (BIDS, WINS, IMPRESSIONS, CLICKS, CONVERSIONS, CAMPAIGNS)

OF_EVENT = {
    EventKind.WIN: WINS,
    EventKind.BILL: WINS,
    EventKind.LOSS: WINS,
    EventKind.IMPRESSION: IMPRESSIONS,
    EventKind.CLICK: CLICKS,
    EventKind.CONVERSION: CONVERSIONS,
}
