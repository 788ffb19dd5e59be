"""Linear time-based pacing: a day's budget is spent as evenly as its serving time passes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from adctl.delivery.pricing import PPM
from adctl.delivery.schedule import elapsed, length, serving_time
from adctl.models import Pacing

if TYPE_CHECKING:
    from datetime import date, datetime

    from adctl.models import Campaign

# How far ahead of its target a campaign may run before it stops bidding, as a share of the day's
# budget: 5 % is 72 minutes of an even day. Less would make a campaign fall silent over the chunks
# in which spend arrives (a bid is spent seconds after it was made); more would let it be dear in
# the morning and absent in the evening.
ALLOWANCE_PPM = 50_000

_MICROSECOND = timedelta(microseconds=1)


def pacing_ppm(campaign: Campaign, day_budget_nanos: int, spent_nanos: int, now: datetime) -> int:
    """Return the pacing factor of a campaign at ``now`` (aware), in parts per million.

    ``spent_nanos`` is what its local day has spent, ``day_budget_nanos`` what it may spend in all.
    With even pacing: 1,000,000 up to the target, then falling in a straight line to 0 at the
    target plus the allowance. With ASAP pacing always 1,000,000; the budget is the only limit.
    """
    if campaign.pacing is Pacing.ASAP:
        return PPM
    ahead = spent_nanos - target_nanos(campaign, day_budget_nanos, now)
    if ahead <= 0:
        return PPM
    allowance = day_budget_nanos * ALLOWANCE_PPM // PPM
    return (allowance - ahead) * PPM // allowance if ahead < allowance else 0


def target_nanos(campaign: Campaign, day_budget_nanos: int, now: datetime) -> int:
    """Return what should be spent by ``now`` of the local day: the budget's elapsed share."""
    serving = serving_time(campaign, local_day(campaign.timezone, now))
    whole = length(serving) // _MICROSECOND
    passed = elapsed(serving, now) // _MICROSECOND
    return day_budget_nanos * passed // whole if whole else 0


def local_day(timezone: str, now: datetime) -> date:
    """Return the date in ``timezone`` at ``now`` (aware): the day a campaign's budget is for.

    Raises ZoneInfoNotFoundError for a zone that does not exist.
    """
    return now.astimezone(ZoneInfo(timezone)).date()
