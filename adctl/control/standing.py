"""Why a campaign does not bid: all that bears on it, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adctl.control.budget_report import CampaignBudget
    from adctl.control.drafts import CampaignView
    from adctl.control.reporting import CandidatesRow

_MOST_REASONS = 5


class Standing(NamedTuple):
    """One thing that bears on whether a campaign bids; amounts and shares as texts."""

    about: str
    finding: str


def standing(
    view: CampaignView, budget: CampaignBudget, fared: Sequence[CandidatesRow]
) -> list[Standing]:
    """Return what bears on the campaign's bidding; ``fared`` is what came of it lately."""
    return [
        Standing("status", view.status),
        Standing("serving", view.serving),
        Standing("flight", f"{view.start} to {view.end or 'no end'} ({view.timezone})"),
        Standing("creatives", _creatives(view)),
        Standing("bid", f"{view.bid} {view.currency} {view.strategy}"),
        *_money(budget),
        Standing("caps", _caps(view)),
        *_fared("counted", fared),
        *_fared("sampled", fared),
    ]


def _creatives(view: CampaignView) -> str:
    active = sum(creative.status == "active" for creative in view.creatives)
    return f"{active} active of {len(view.creatives)}"


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
