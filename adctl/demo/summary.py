"""The audit at the end of a run: what was done, what the stores hold, and whether it agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from adctl.models import EventKind
from adctl.money import format_nanos

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.demo.books import Books, Overview, StoredEvents
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
    tally: Tally, books: Books, undrained: str, seconds: float, restarts: Mapping[str, int]
) -> Summary:
    """Return the summary of a run whose traffic has ended. Raises StoreUnavailableError."""
    stored, overview = books.stored_events(), books.overview()
    return Summary(
        traffic=_traffic(tally, overview, seconds),
        events=tuple(_event_row(kind, tally, stored) for kind in EventKind),
        campaigns=tuple(_campaign_rows(overview, books.ledger_nanos())),
        no_bids=dict(overview.no_bids),
        restarts=dict(restarts),
        checks=(
            *_delivery_checks(tally, stored, books, undrained),
            *_money_checks(tally, stored, overview, books),
            *_answer_checks(tally),
            *_life_checks(tally, stored, overview),
        ),
        complaints=tuple(tally.complaints),
    )


def _traffic(tally: Tally, overview: Overview, seconds: float) -> dict[str, object]:
    counts, latency = tally.counts(), tally.latency()
    return {
        "seconds": round(seconds, 1),
        "requests": counts["requests"],
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
        "spend": format_nanos(overview.spent_nanos),
        "latency_p50_ms": round(latency.p50_ms, 1),
        "latency_p99_ms": round(latency.p99_ms, 1),
    }


def _event_row(kind: EventKind, tally: Tally, stored: StoredEvents) -> dict[str, object]:
    suffix = f":{kind}"
    return {
        "event": str(kind),
        "sent": sum(event_id.endswith(suffix) for event_id in tally.sent),
        "acknowledged": tally.acknowledged_of(kind),
        "in_postgresql": sum(event_id.endswith(suffix) for event_id in stored.times),
    }


def _campaign_rows(overview: Overview, ledger: Mapping[int, int]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for campaign in overview.campaigns:
        money = campaign.money
        row: dict[str, object] = {"id": campaign.id, "campaign": campaign.name}
        if money is not None:
            row |= {
                "budget": format_nanos(money.budget),
                "spent": format_nanos(money.spent),
                "reserved": format_nanos(money.reserved),
                "available": format_nanos(money.available),
                "ledger": format_nanos(ledger.get(campaign.id, 0)),
                "adds_up": money.adds_up,
            }
        rows.append(row)
    return rows


def _delivery_checks(
    tally: Tally, stored: StoredEvents, books: Books, undrained: str
) -> list[Check]:
    missing = tally.acknowledged - stored.times.keys()
    twice = [event_id for event_id, times in stored.times.items() if times > 1]
    unknown = stored.times.keys() - tally.sent
    rolled_up = books.rolled_up()
    differing = [
        f"{kind}: {rolled_up[kind]} of {found}"
        for kind in EventKind
        if kind != EventKind.BILL
        and rolled_up[kind] != (found := sum(id_.endswith(f":{kind}") for id_ in stored.times))
    ]
    return [
        Check("everything drained within its time", not undrained, undrained or "yes"),
        Check(
            "every acknowledged event is in PostgreSQL",
            not missing,
            f"{len(missing)} missing of {len(tally.acknowledged)}",
        ),
        Check("no event counts twice", not twice, f"{len(twice)} double"),
        Check("nothing is stored that was not sent", not unknown, f"{len(unknown)} unknown"),
        Check("rollups agree with the events", not differing, "; ".join(differing) or "all kinds"),
        _none("no stream entry was put aside", books.rejected_entries(), "rejected"),
    ]


def _money_checks(
    tally: Tally, stored: StoredEvents, overview: Overview, books: Books
) -> list[Check]:
    ledger = books.ledger_nanos()
    astray = [
        campaign.name
        for campaign in overview.campaigns
        if campaign.money is None or campaign.money.spent != ledger.get(campaign.id, 0)
    ]
    leaky = [
        campaign.name
        for campaign in overview.campaigns
        if campaign.money is None or not campaign.money.adds_up
    ]
    mispriced = [
        event_id
        for event_id, cost_nanos in stored.cost_nanos.items()
        if cost_nanos != tally.expected_cost_nanos.get(event_id, 0)
    ]
    overspent = [c.name for c in overview.campaigns if c.money and c.money.spent > c.money.budget]
    spend = format_nanos(sum(ledger.values()))
    return [
        Check("spend equals the ledger", not astray, ", ".join(astray) or spend),
        Check(
            "spent + reserved + available == budget",
            not leaky,
            ", ".join(leaky) or f"{len(overview.campaigns)} campaigns",
        ),
        _none("every impression cost what the exchange charged", len(mispriced), "mispriced"),
        Check("no campaign spent more than its budget", not overspent, ", ".join(overspent) or "0"),
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


def _life_checks(tally: Tally, stored: StoredEvents, overview: Overview) -> list[Check]:
    found = {
        "bids": tally.counts()["bids"],
        "impressions": sum(id_.endswith(":impression") for id_ in stored.times),
        "clicks": sum(id_.endswith(":click") for id_ in stored.times),
        "conversions": sum(id_.endswith(":conversion") for id_ in stored.times),
        "spend": overview.spent_nanos,
    }
    empty = [name for name, number in found.items() if not number]
    claim = "there were bids, impressions, clicks, conversions and spend"
    return [Check(claim, not empty, f"no {', '.join(empty)}" if empty else "yes")]


def _none(claim: str, number: int, what: str) -> Check:
    return Check(claim, number == 0, f"{number} {what}")
