"""Which alarms a campaign's money gives reason for at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.alarms import AlarmKind
from adctl.delivery.pacing import local_day, target_nanos
from adctl.delivery.schedule import in_flight, in_time_window
from adctl.models import Pacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from adctl.models import Campaign

# A campaign that has only begun its day is off its pace by any share of very little; and pacing
# itself lets a campaign run ahead by 5 % of the day's budget.
_LEAST_EXPECTED_PERCENT = 5
_LEAST_AHEAD_PERCENT = 10


class Reason(NamedTuple):
    """Reason for an alarm; the same for as long as it lasts, but for the amounts.

    Amounts are nanos; ``scope`` is what the alarm is raised once for, see adctl.alarms.
    """

    kind: AlarmKind
    percent: int
    scope: str
    budget_nanos: int
    spent_nanos: int
    expected_nanos: int = 0


def budget_reasons(
    campaign: Campaign, day: str, day_spent_nanos: int, spent_nanos: int, percents: Iterable[int]
) -> Iterator[Reason]:
    """Yield every share of the day's and of the whole budget that is spent.

    Shares are rounded to whole percents: the last impression never fits exactly.
    """
    total = campaign.total_budget_nanos
    for percent in percents:
        if _percent(day_spent_nanos, campaign.daily_budget_nanos) >= percent:
            yield Reason(
                AlarmKind.DAILY_BUDGET, percent, day, campaign.daily_budget_nanos, day_spent_nanos
            )
        if _percent(spent_nanos, total) >= percent:
            yield Reason(AlarmKind.TOTAL_BUDGET, percent, str(total), total, spent_nanos)


def pacing_reason(
    campaign: Campaign, day_spent_nanos: int, spent_nanos: int, percent: int, now: datetime
) -> Reason | None:
    """Return how an evenly paced campaign is off its pace by ``percent`` or more, if it is.

    One that cannot serve now has no pace: without a creative, outside its flight or its hours, or
    with nothing left of its whole budget, of which a last day may have less than a day's.
    """
    left_today = campaign.total_budget_nanos - (spent_nanos - day_spent_nanos)
    budget = min(campaign.daily_budget_nanos, left_today)
    if campaign.pacing is not Pacing.EVEN or budget <= 0 or not _may_serve(campaign, now):
        return None
    expected = target_nanos(campaign, budget, now)
    if expected * 100 < budget * _LEAST_EXPECTED_PERCENT:
        return None
    ahead = day_spent_nanos - expected
    if abs(ahead) * 100 < expected * percent:
        return None
    if ahead > 0 and ahead * 100 < budget * _LEAST_AHEAD_PERCENT:
        return None
    kind = AlarmKind.AHEAD if ahead > 0 else AlarmKind.BEHIND
    day = local_day(campaign.timezone, now).isoformat()
    return Reason(kind, percent, day, budget, day_spent_nanos, expected)


def _may_serve(campaign: Campaign, now: datetime) -> bool:
    return bool(campaign.creatives) and in_flight(campaign, now) and in_time_window(campaign, now)


def _percent(part: int, whole: int) -> int:
    """Return the share in percent, rounded to the nearest."""
    return (200 * part + whole) // (2 * whole)
