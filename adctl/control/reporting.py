"""Reports on what was bid, delivered and spent, from the hourly rollups."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from adctl.delivery.landscape import lowest_of
from adctl.delivery.loss_reasons import describe_loss
from adctl.delivery.oddities import RULES
from adctl.money import format_micros, format_nanos
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    import psycopg

    from adctl.control.periods import Period


class By(StrEnum):
    """What a performance report has a row for."""

    CAMPAIGN = "campaign"
    HOUR = "hour"
    DAY = "day"
    CREATIVE = "creative"
    EXCHANGE = "exchange"
    SITE = "site"
    COUNTRY = "country"
    DEVICE = "device"


class Totals(msgspec.Struct, frozen=True):
    """Counts and spend of whatever was added up. Rates are None where there is nothing to rate.

    ``value_nanos`` is what conversions were worth, of clicks and of views.
    """

    bids: int = 0
    wins: int = 0
    impressions: int = 0
    clicks: int = 0
    conversions: int = 0
    view_conversions: int = 0
    spend_nanos: int = 0
    value_nanos: int = 0

    @property
    def win_rate(self) -> float | None:
        """Wins per bid."""
        return _rate(self.wins, self.bids)

    @property
    def ctr(self) -> float | None:
        """Clicks per impression."""
        return _rate(self.clicks, self.impressions)

    @property
    def cvr(self) -> float | None:
        """Conversions per click."""
        return _rate(self.conversions, self.clicks)

    @property
    def ecpm_micros(self) -> int | None:
        """Spend per 1,000 impressions, rounded down to a micro."""
        # Nanos per impression are micros per 1,000 impressions: see adctl.money.
        return self.spend_nanos // self.impressions if self.impressions else None

    def fields(self) -> dict[str, object]:
        """Return everything, in the order of a report; money as exact decimals too."""
        ecpm_micros = self.ecpm_micros
        return {
            "bids": self.bids,
            "wins": self.wins,
            "win_rate": self.win_rate,
            "impressions": self.impressions,
            "clicks": self.clicks,
            "ctr": self.ctr,
            "conversions": self.conversions,
            "cvr": self.cvr,
            "view_conversions": self.view_conversions,
            "spend": format_nanos(self.spend_nanos),
            "spend_nanos": self.spend_nanos,
            "value": format_nanos(self.value_nanos),
            "value_nanos": self.value_nanos,
            "ecpm": None if ecpm_micros is None else format_micros(ecpm_micros),
        }


class PerformanceRow(NamedTuple):
    """One row: what it is about (``{"campaign_id": 1, "campaign": "Spring"}``), and its totals."""

    about: dict[str, object]
    totals: Totals


class RequestsRow(NamedTuple):
    """How many requests came out one way: ``bid``, or ``no-bid`` for a reason."""

    outcome: str
    reason: str
    requests: int
    share: float | None


class CandidatesRow(NamedTuple):
    """How often this came of a campaign; the share is of all its times on the same ``basis``.

    ``counted`` is of every decision, ``sampled`` of those that were looked into, one in many.
    ``capped`` of the candidates bid less because of their ceiling, on the average by ``avg_cut``.
    """

    campaign_id: int
    campaign: str | None
    basis: str
    outcome: str
    candidates: int
    share: float | None
    capped: int
    avg_cut: str | None


class OddityRow(NamedTuple):
    """How often events of a campaign were odd in one way, what they cost, and the rule for it."""

    campaign_id: int
    campaign: str | None
    exchange: str
    oddity: str
    events: int
    cost: str
    rule: str


class LandscapeRow(NamedTuple):
    """What was bid from one CPM up to, and without, another; averages of what exchanges told."""

    exchange: str
    from_cpm: str
    to_cpm: str
    bids: int
    wins: int
    losses: int
    win_rate: float | None
    paid: str | None
    min_to_win: str | None


class LossRow(NamedTuple):
    """How often an exchange told one reason for a campaign's losses.

    ``min_to_win`` is the CPM that would have won, on the average of the losses it was told of.
    """

    campaign_id: int
    campaign: str | None
    exchange: str
    loss_reason: int
    meaning: str
    losses: int
    min_to_win: str | None


def performance(
    conn: psycopg.Connection, period: Period, by: By, campaign_id: int | None = None
) -> list[PerformanceRow]:
    """Return what was delivered in a period; a row for each value of ``by`` that has anything."""
    with postgres_errors("report performance"):
        rows = load_queries("reports/performance.sql").performance(
            conn,
            by=by.value,
            timezone=period.zone.key,
            since=period.since,
            until=period.until,
            campaign_id=campaign_id,
        )
        return [_performance_row(by, period.zone, *row) for row in rows]


def about_columns(by: By) -> tuple[str, ...]:
    """Return the names of what a row ``by`` that is about."""
    match by:
        case By.CAMPAIGN | By.CREATIVE:
            return f"{by.value}_id", by.value
        case By.DAY:
            return by.value, "timezone"
        case _:
            return (by.value,)


def sum_of(rows: Iterable[PerformanceRow]) -> Totals:
    """Return the totals of all rows together."""
    columns = [msgspec.structs.astuple(row.totals) for row in rows]
    return Totals(*(sum(column) for column in zip(*columns, strict=True)))


def requests(conn: psycopg.Connection, period: Period) -> list[RequestsRow]:
    """Return how the bid requests of a period came out, bids first, then the commonest reason."""
    with postgres_errors("report requests"):
        rows = list(
            load_queries("reports/requests.sql").requests(
                conn, since=period.since, until=period.until
            )
        )
    total = sum(count for _, count in rows)
    return [
        RequestsRow("no-bid" if reason else "bid", reason, count, _rate(count, total))
        for reason, count in rows
    ]


def candidates(
    conn: psycopg.Connection, period: Period, campaign_id: int | None = None
) -> list[CandidatesRow]:
    """Return how campaigns fared as candidates for impressions, the commonest outcome first."""
    with postgres_errors("report candidates"):
        rows = list(
            load_queries("reports/candidates.sql").candidates(
                conn, since=period.since, until=period.until, campaign_id=campaign_id
            )
        )
    totals = Counter[tuple[int, bool]]()
    for number, _, sampled, _, count, _, _ in rows:
        totals[number, sampled] += count
    return [
        CandidatesRow(
            number,
            name,
            "sampled" if sampled else "counted",
            outcome,
            count,
            _rate(count, totals[number, sampled]),
            capped,
            format_micros(cut_micros // capped) if capped else None,
        )
        for number, name, sampled, outcome, count, capped, cut_micros in rows
    ]


def losses(
    conn: psycopg.Connection, period: Period, campaign_id: int | None = None
) -> list[LossRow]:
    """Return why auctions were lost, by campaign, exchange and reason, the commonest first."""
    with postgres_errors("report losses"):
        rows = list(
            load_queries("reports/losses.sql").losses(
                conn, since=period.since, until=period.until, campaign_id=campaign_id
            )
        )
    return [
        LossRow(
            number,
            name,
            exchange,
            reason,
            describe_loss(reason),
            count,
            None if least_micros is None else format_micros(least_micros),
        )
        for number, name, exchange, reason, count, least_micros in rows
    ]


def landscape(
    conn: psycopg.Connection, period: Period, exchange: str | None = None
) -> list[LandscapeRow]:
    """Return what was won and lost at which price, lowest first."""
    with postgres_errors("report the price landscape"):
        rows = list(
            load_queries("reports/landscape.sql").landscape(
                conn, since=period.since, until=period.until, exchange=exchange
            )
        )
    return [
        LandscapeRow(
            where,
            format_micros(lowest_of(bucket)),
            format_micros(lowest_of(bucket + 1)),
            bids,
            wins,
            lost,
            _rate(wins, bids),
            None if paid is None else format_micros(paid),
            None if least is None else format_micros(least),
        )
        for where, bucket, bids, wins, lost, paid, least in rows
    ]


def oddities(
    conn: psycopg.Connection, period: Period, campaign_id: int | None = None
) -> list[OddityRow]:
    """Return the events that should not have come, or not so, by campaign and exchange."""
    with postgres_errors("report oddities"):
        rows = list(
            load_queries("reports/oddities.sql").oddities(
                conn, since=period.since, until=period.until, campaign_id=campaign_id
            )
        )
    return [
        OddityRow(number, name, exchange, odd, count, format_nanos(nanos), RULES.get(odd, ""))
        for number, name, exchange, odd, count, nanos in rows
    ]


def _performance_row(
    by: By,
    zone: ZoneInfo,
    campaign_id: int | None,
    campaign: str | None,
    creative_id: int | None,
    creative: str | None,
    place: str | None,
    began_at: datetime | None,
    *counts: int,
) -> PerformanceRow:
    about: dict[str, object] = {}
    local = began_at.astimezone(zone) if began_at else None
    match by:
        case By.CAMPAIGN:
            about = {"campaign_id": campaign_id, "campaign": campaign}
        case By.CREATIVE:
            about = {"creative_id": creative_id, "creative": creative}
        case By.EXCHANGE | By.SITE | By.COUNTRY | By.DEVICE:
            about = {by.value: place}
        case By.HOUR:
            about = {"hour": local.isoformat() if local else None}
        case By.DAY:
            about = {"day": local.date().isoformat() if local else None, "timezone": zone.key}
    return PerformanceRow(about, Totals(*counts))


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
