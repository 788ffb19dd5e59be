"""Reports on what was bid, delivered and spent, from the hourly rollups."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from adctl.delivery.loss_reasons import describe_loss
from adctl.delivery.oddities import RULES
from adctl.errors import Fault, FaultyInputError
from adctl.money import format_micros, format_nanos
from adctl.stores.postgres import load_queries, postgres_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_HOUR = timedelta(hours=1)
_SPAN = re.compile(r"(\d{1,4})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MOMENT = "24h, 7d, 2w, or a date such as 2026-11-01 or 2026-11-01T15:00"


class By(StrEnum):
    """What a performance report has a row for."""

    CAMPAIGN = "campaign"
    HOUR = "hour"
    DAY = "day"
    CREATIVE = "creative"
    EXCHANGE = "exchange"


class Period(NamedTuple):
    """Whole hours, ``until`` not included, and the zone in which to speak of them."""

    since: datetime
    until: datetime
    zone: ZoneInfo

    def __str__(self) -> str:
        """Read as ``2026-11-01 15:00 to 2026-11-02 15:00 Europe/Paris``."""
        since, until = (f"{moment:%Y-%m-%d %H:%M}" for moment in (self.since, self.until))
        return f"{since} to {until} {self.zone.key}"


class Totals(msgspec.Struct, frozen=True):
    """Counts and spend of whatever was added up. Rates are None where there is nothing to rate."""

    bids: int = 0
    wins: int = 0
    impressions: int = 0
    clicks: int = 0
    conversions: int = 0
    spend_nanos: int = 0

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
            "spend": format_nanos(self.spend_nanos),
            "spend_nanos": self.spend_nanos,
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
    """

    campaign_id: int
    campaign: str | None
    basis: str
    outcome: str
    candidates: int
    share: float | None


class OddityRow(NamedTuple):
    """How often events of a campaign were odd in one way, what they cost, and the rule for it."""

    campaign_id: int
    campaign: str | None
    exchange: str
    oddity: str
    events: int
    cost: str
    rule: str


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


def parse_period(since: str, until: str | None, timezone: str, now: datetime) -> Period:
    """Return the whole hours from ``since`` to ``until`` (now, if None).

    A date without an offset is in ``timezone``. Raises FaultyInputError with every fault.
    """
    faults: list[Fault] = []
    zone = _zone(timezone)
    if zone is None:
        faults.append(Fault("--timezone", timezone, "a zone such as UTC or Europe/Paris"))
    began = _moment(since, zone or ZoneInfo("UTC"), now)
    if began is None:
        faults.append(Fault("--since", since, _MOMENT))
    ended = now if until is None else _moment(until, zone or ZoneInfo("UTC"), now)
    if ended is None:
        faults.append(Fault("--until", until, _MOMENT))
    if began and ended and began >= ended:
        faults.append(Fault("--since", since, "a moment before --until"))
    if faults or not (zone and began and ended):
        raise FaultyInputError("report period", faults)
    last = _hour(ended + _HOUR - timedelta(microseconds=1))
    return Period(_hour(began).astimezone(zone), last.astimezone(zone), zone)


def parse_hour(field: str, told: str, now: datetime) -> datetime:
    """Return the beginning of the hour of a moment that is past; UTC unless it has an offset.

    Raises FaultyInputError, naming ``field``.
    """
    moment = _moment(told, ZoneInfo("UTC"), now)
    if moment is None or moment > now:
        expected = f"{_MOMENT}, in the past"
        raise FaultyInputError("moment", [Fault(field, told, expected)])
    return _hour(moment)


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
    for number, _, sampled, _, count in rows:
        totals[number, sampled] += count
    return [
        CandidatesRow(
            number,
            name,
            "sampled" if sampled else "counted",
            outcome,
            count,
            _rate(count, totals[number, sampled]),
        )
        for number, name, sampled, outcome, count in rows
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
    exchange: str | None,
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
        case By.EXCHANGE:
            about = {"exchange": exchange}
        case By.HOUR:
            about = {"hour": local.isoformat() if local else None}
        case By.DAY:
            about = {"day": local.date().isoformat() if local else None, "timezone": zone.key}
    return PerformanceRow(about, Totals(*counts))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _moment(text: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    if span := _SPAN.fullmatch(text):
        return now - int(span[1]) * _UNITS[span[2]]
    try:
        moment = datetime.fromisoformat(text)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Far enough from the calendar's ends to be converted to any zone.
    return at if 1 < at.year < 9999 else None


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
