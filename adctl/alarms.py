"""What an operator wants to be told: budgets that run out, pace that is not kept, odd prices."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class AlarmKind(StrEnum):
    """What has happened."""

    DAILY_BUDGET = "budget.daily"  # a share of the day's budget is spent
    TOTAL_BUDGET = "budget.total"  # a share of the whole budget is spent
    BEHIND = "pacing.behind"  # less is spent than evenly paced, for some time
    AHEAD = "pacing.ahead"  # more is
    PRICES_LOW = "prices.low"  # an exchange tells next to nothing of what was bid
    PRICES_UNREAD = "prices.unread"  # or prices that cannot be read
    PRICES_ABOVE = "prices.above_bid"  # or more than was bid
    REJECTED = "events.rejected"  # events could not be stored, and wait to be put back


class Alarm(msgspec.Struct, frozen=True):
    """One alarm: what Kafka's ``alarms`` topic carries, keyed by campaign id.

    It is raised once for each campaign, ``kind``, ``percent`` and ``scope``: the day in the
    campaign's zone, the total budget in nanos, the UTC hour of the newest rejected event, or an
    exchange and the minute in which its prices began to look odd.
    ``percent`` is the share of the budget that was reached, or how far from its pace the campaign
    was at least. ``expected_nanos`` is what evenly paced would have been spent (0 for budgets), of
    ``budget_nanos``, when ``spent_nanos`` was.

    Of rejected events ``events`` is how many wait, and ``spent_nanos`` what they cost; those that
    do not say which campaign they are of have an alarm of campaign 0. So have the prices of an
    ``exchange``, of which ``events`` were odd lately.
    """

    id: int
    kind: AlarmKind
    campaign_id: int
    campaign: str
    advertiser_id: int
    percent: int
    scope: str
    at: datetime
    budget_nanos: int
    spent_nanos: int
    expected_nanos: int = 0
    events: int = 0
    exchange: str = ""
