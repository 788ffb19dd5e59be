"""Why a campaign does not bid: all that bears on it, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.delivery.schedule import is_open, next_change
from adctl.models import BidStrategy, Targeting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from adctl.control.budget_report import CampaignBudget
    from adctl.control.drafts import CampaignView
    from adctl.control.reporting import CandidatesRow

_MOST_REASONS = 5
_MOST_LISTED = 10


class Standing(NamedTuple):
    """One thing that bears on whether a campaign bids; amounts and shares as texts."""

    about: str
    finding: str


def standing(
    view: CampaignView,
    budget: CampaignBudget,
    fared: Sequence[CandidatesRow],
    default_max_cpm: str,
    now: datetime,
) -> list[Standing]:
    """Return what bears on the campaign's bidding ``now``; ``fared`` is what came of it lately.

    ``default_max_cpm`` is the configuration's ceiling of CPC and CPA bids, '' for none.
    """
    return [
        Standing("status", view.status),
        Standing("serving", view.serving),
        Standing("flight", f"{view.start} to {view.end or 'no end'} ({view.timezone})"),
        Standing("hours", _hours(view, now)),
        Standing("targeting", _targeting(view)),
        Standing("creatives", _creatives(view)),
        Standing("bid", f"{view.bid} {view.currency} {view.strategy}"),
        Standing("ceiling", _ceiling(view, default_max_cpm)),
        Standing("cut last hour", _cut(fared)),
        *_money(budget),
        Standing("caps", _caps(view)),
        *_fared("counted", fared),
        *_fared("sampled", fared),
    ]


def _hours(view: CampaignView, now: datetime) -> str:
    windows = msgspec.convert(view.targeting, Targeting).time_windows
    if not windows:
        return "all"
    changes_at = next_change(windows, view.timezone, now)
    until = f" until {changes_at:%a %Y-%m-%d %H:%M %z}" if changes_at else ""
    return f"{'open' if is_open(windows, view.timezone, now) else 'closed'}{until}"


def _targeting(view: CampaignView) -> str:
    targeting: dict[str, Any] = view.targeting | {}
    targeting.pop("time_windows", None)
    segments = targeting.pop("segments", {})
    fields = targeting | {f"segments.{kind}": names for kind, names in segments.items()}
    return "; ".join(f"{name} {_listed(value)}" for name, value in fields.items()) or "everybody"


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(
        value if isinstance(value, str) else f"{value['lat']},{value['lon']},{value['radius_km']}km"
        for value in values[:_MOST_LISTED]
    )
    more = len(values) - _MOST_LISTED
    return f"{shown} and {more:,} more" if more > 0 else shown


def _creatives(view: CampaignView) -> str:
    active = [creative for creative in view.creatives if creative.status == "active"]
    kinds = sorted({f"{one.kind} {one.size}".strip() for one in active})
    listed = f" ({_listed(kinds)})" if kinds else ": add or resume one, or it cannot serve"
    return f"{len(active)} active of {len(view.creatives)}{listed}"


def _ceiling(view: CampaignView, default_max_cpm: str) -> str:
    if view.max_cpm is not None:
        return f"{view.max_cpm} {view.currency} per 1,000 impressions"
    if view.strategy is BidStrategy.CPM or not default_max_cpm:
        return "none"
    return f"{default_max_cpm} {view.currency} per 1,000 impressions (bidder.max_cpm)"


def _cut(fared: Sequence[CandidatesRow]) -> str:
    cut = [
        f"{row.outcome}: {row.capped} of {row.candidates}, by {row.avg_cut} on the average"
        for row in fared
        if row.capped
    ]
    return "; ".join(cut) or "nothing"


def _money(budget: CampaignBudget) -> Iterator[Standing]:
    told = budget.fields()
    if budget.state is None:
        yield Standing("money", "Redis has no state of it: see adctl doctor")
    else:
        yield Standing("money", f"{told['available']} of {told['budget']} available")
        yield Standing("today", f"{told['day_available']} of {told['day_budget']} available")
    yield Standing("pacing", str(told["pacing"] or "not set yet: 100%"))


def _caps(view: CampaignView) -> str:
    if not view.caps:
        return "none"
    return f"{', '.join(view.caps)}; unidentified users: {view.unidentified}"


def _fared(basis: str, fared: Sequence[CandidatesRow]) -> Iterator[Standing]:
    those = [row for row in fared if row.basis == basis]
    if not those:
        yield Standing(f"{basis} last hour", "nothing")
    for row in those[:_MOST_REASONS]:
        yield Standing(f"{basis} last hour", f"{row.outcome}: {row.candidates} ({row.share:.2%})")
