"""The audit at the end of a run: what was done, what the stores hold, and whether it agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.models import EventKind
from adctl.money import format_nanos

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.demo.books import CampaignBooks, Holdings
    from adctl.demo.tally import Tally


class Check(NamedTuple):
    """One claim about the run, and whether it holds."""

    claim: str
    holds: bool
    found: str


class Summary(NamedTuple):
    """A run, told in numbers."""

    traffic: dict[str, object]
    events: tuple[dict[str, object], ...]
    campaigns: tuple[dict[str, object], ...]
    no_bids: dict[str, int]
    restarts: dict[str, int]
    checks: tuple[Check, ...]
    complaints: tuple[str, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The claims that do not hold."""
        return tuple(check for check in self.checks if not check.holds)


def summarise(
    tally: Tally, held: Holdings, undrained: str, seconds: float, restarts: Mapping[str, int]
) -> Summary:
    """Return the summary of a run whose traffic has ended."""
    return Summary(
        traffic=_traffic(tally, held, seconds),
        events=tuple(_event_row(kind, tally, held) for kind in EventKind),
        campaigns=tuple(_campaign_row(campaign, held) for campaign in held.overview.campaigns),
        no_bids=dict(held.overview.no_bids),
        restarts=dict(restarts),
        checks=(
            *_delivery_checks(tally, held, undrained),
            *_money_checks(tally, held),
            *_answer_checks(tally),
            _life_check(tally, held),
        ),
        complaints=tuple(tally.complaints),
    )


def _traffic(tally: Tally, held: Holdings, seconds: float) -> dict[str, object]:
    counts, latency = tally.counts(), tally.latency()
    return {
        "seconds": round(seconds, 1),
        "requests": counts["requests"],
        "tests_with_bid": counts["test"],
        "requests_with_bid": counts["bid"] + counts["too_late"],
        "bids": counts["bids"],
        "no_bids": counts["no_bid"],
        "malformed_refused": counts["refused"],
        "bids_after_tmax": counts["too_late"],
        "unanswered": counts["unanswered"],
        "auctions_won": counts["won"],
        "auctions_lost": counts["lost"],
        "ads_never_seen": counts["never_seen"],
        "events_repeated": counts["repeats"],
        "impressions_late": counts["late"],
        "events_untold": counts["untold"],
        "forged_sent": counts["forged_sent"],
        "forged_rejected": counts["forged_rejected"],
        "spend": format_nanos(held.overview.spent_nanos),
        "latency_p50_ms": round(latency.p50_ms, 1),
        "latency_p99_ms": round(latency.p99_ms, 1),
    }


def _event_row(kind: EventKind, tally: Tally, held: Holdings) -> dict[str, object]:
    return {
        "event": str(kind),
        "sent": sum(event_id.endswith(f":{kind}") for event_id in tally.sent),
        "acknowledged": tally.acknowledged_of(kind),
        "in_postgresql": held.events.of(kind),
    }


def _campaign_row(campaign: CampaignBooks, held: Holdings) -> dict[str, object]:
    money = campaign.money
    row: dict[str, object] = {"id": campaign.id, "campaign": campaign.name}
    if money is None:
        return row
    return row | {
        "budget": format_nanos(money.budget),
        "spent": format_nanos(money.spent),
        "reserved": format_nanos(money.reserved),
        "available": format_nanos(money.available),
        "ledger": format_nanos(held.ledger_nanos.get(campaign.id, 0)),
        "adds_up": money.adds_up,
    }


def _delivery_checks(tally: Tally, held: Holdings, undrained: str) -> list[Check]:
    stored = held.events.times
    missing = tally.acknowledged - stored.keys()
    doubled = sum(times > 1 for times in stored.values())
    differing = [
        f"{kind}: {held.rolled_up[kind]} of {held.events.of(kind)}"
        for kind in EventKind
        if kind is not EventKind.BILL and held.rolled_up[kind] != held.events.of(kind)
    ]
    return [
        Check("everything drained within its time", not undrained, undrained or "yes"),
        Check(
            "every acknowledged event is in PostgreSQL",
            not missing,
            f"{len(missing)} missing of {len(tally.acknowledged)}",
        ),
        _none("no event counts twice", doubled, "double"),
        _none("nothing is stored that was not sent", len(stored.keys() - tally.sent), "unknown"),
        Check("rollups agree with the events", not differing, "; ".join(differing) or "all kinds"),
        _none("no stream entry was put aside", held.rejected, "rejected"),
    ]


def _money_checks(tally: Tally, held: Holdings) -> list[Check]:
    campaigns, ledger = held.overview.campaigns, held.ledger_nanos
    astray = [c.name for c in campaigns if not c.money or c.money.spent != ledger.get(c.id, 0)]
    leaky = [c.name for c in campaigns if not c.money or not c.money.adds_up]
    overspent = [
        c.name for c in campaigns if c.money and c.money.spent > c.money.budget + c.money.late
    ]
    mispriced = sum(
        cost_nanos != tally.expected_cost_nanos.get(event_id, 0)
        for event_id, cost_nanos in held.events.cost_nanos.items()
    )
    spend = format_nanos(sum(ledger.values()))
    return [
        Check("spend equals the ledger", not astray, ", ".join(astray) or spend),
        Check(
            "spent + reserved + available == budget",
            not leaky,
            ", ".join(leaky) or f"all {len(campaigns)} campaigns",
        ),
        _none("every impression cost what the exchange charged", mispriced, "mispriced"),
        Check("no campaign overspent but by late wins", not overspent, ", ".join(overspent) or "0"),
    ]


def _answer_checks(tally: Tally) -> list[Check]:
    counts = tally.counts()
    forged, rejected = counts["forged_sent"], counts["forged_rejected"]
    return [
        Check("every forged event was rejected", forged == rejected > 0, f"{rejected} of {forged}"),
        _none("no genuine event was refused", counts["wrongly_refused"], "refused"),
        _none("every answer to a request was a right one", counts["wrong_answer"], "wrong"),
        _none(
            "every ad had its pixel, link and click id",
            counts["broken_markup"] + counts["lost_click_ids"],
            "broken",
        ),
    ]


def _life_check(tally: Tally, held: Holdings) -> Check:
    found = {
        "bids": tally.counts()["bids"],
        "impressions": held.events.of(EventKind.IMPRESSION),
        "clicks": held.events.of(EventKind.CLICK),
        "conversions": held.events.of(EventKind.CONVERSION),
        "spend": held.overview.spent_nanos,
    }
    none = [name for name, number in found.items() if not number]
    claim = "there were bids, impressions, clicks, conversions and spend"
    return Check(claim, not none, f"no {', '.join(none)}" if none else "yes")


def _none(claim: str, number: int, what: str) -> Check:
    return Check(claim, number == 0, f"{number} {what}")
