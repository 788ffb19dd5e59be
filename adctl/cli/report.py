"""``adctl report``: what was bid, delivered and spent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import psycopg
import typer

from adctl.cli.context import settings_of
from adctl.cli.render import Output, OutputOption, render_record, render_rows, say
from adctl.cli.stores import postgres_pool, postgres_session
from adctl.control import reporting, statement_lines, statements
from adctl.control.alarms import ALARM_COLUMNS, alarm_fields, read_alarms
from adctl.control.lookup import find_advertiser, find_campaign
from adctl.control.periods import Period, parse_period
from adctl.control.plane import open_plane
from adctl.control.reporting import By
from adctl.control.statement_lines import LineFault, StatementLine
from adctl.control.statements import INVOICE_COLUMNS
from adctl.errors import DisprovedError
from adctl.stores.tables import psycopg_of

Row = TypeVar("Row")

app = typer.Typer(no_args_is_help=True)

SinceOption = Annotated[
    str, typer.Option(help="Where to begin: 24h, 7d, 2w, or a date as 2026-11-01 or with T15:00.")
]
UntilOption = Annotated[
    str | None, typer.Option(help="Where to end, written like --since. Default: now.")
]
MonthOption = Annotated[
    str | None,
    typer.Option(help="A month of UTC, such as 2026-11. Default: this one.", show_default=False),
]
CampaignOption = Annotated[str | None, typer.Option(help="Only this campaign: its id or its name.")]
TimezoneOption = Annotated[
    str, typer.Option(help="Zone of dates without an offset, and of the hours and days shown.")
]

# How long what is on its way through Kafka is waited for.
_CHECK_SEC = 10.0

_RATES = ("win_rate", "ctr", "cvr", "share")
# Columns of a table that are left out where every row has 0, with what is counted in them.
_SELDOM = {"view_conversions": "view_conversions", "value_nanos": "value"}
# Exact amounts stand beside it; nanos are for programs.
_NOT_IN_TABLES = ("spend_nanos", "value_nanos")


@app.command()
def performance(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    by: Annotated[By, typer.Option(help="What to have a row for.")] = By.CAMPAIGN,
    campaign: CampaignOption = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show bids, wins, impressions, clicks, conversions, their rates and what they cost.

    Periods are widened to whole hours UTC. Test traffic is left out. Rates are shares of 1 in JSON
    and CSV.

    Example: adctl report performance --since 7d --by day --timezone Europe/Paris
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    with postgres_session(ctx) as session:
        campaign_id = None if campaign is None else find_campaign(session, campaign).id
        rows = reporting.performance(psycopg_of(session), period, by, campaign_id)
    shown = [row.about | row.totals.fields() for row in rows]
    if rows and output is Output.TABLE:
        first, totals = next(iter(rows[0].about)), reporting.sum_of(rows)
        shown.append({first: "total"} | totals.fields())
        # Most campaigns have none of these, and lines are short.
        unused = [name for name in _SELDOM if not getattr(totals, name)]
        shown = [_without(row, unused) for row in shown]
    columns = [*reporting.about_columns(by), *reporting.Totals().fields()]
    _render(shown, period, output, columns)


@app.command()
def requests(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how bid requests came out: bids, and no-bids by reason.

    Example: adctl report requests --since 1h --output json
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    with postgres_session(ctx) as session:
        rows = reporting.requests(psycopg_of(session), period)
    _render([row._asdict() for row in rows], period, output, reporting.RequestsRow._fields)


@app.command()
def candidates(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    campaign: CampaignOption = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how campaigns fared as candidates: won, outbid, capped, out of budget.

    Counted are candidates and the dearest of those passed over. Sampled is, for one request in
    bidder.explain_every, what some campaigns in turn had to say to it: add nothing up across both.

    Example: adctl report candidates --since 1h --campaign Spring
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    rows = _of_campaign(ctx, reporting.candidates, period, campaign)
    _render([row._asdict() for row in rows], period, output, reporting.CandidatesRow._fields)


@app.command()
def losses(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    campaign: CampaignOption = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show why auctions were lost: what exchanges told, by campaign, exchange and reason.

    Example: adctl report losses --since 7d --campaign Spring
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    rows = _of_campaign(ctx, reporting.losses, period, campaign)
    _render([row._asdict() for row in rows], period, output, reporting.LossRow._fields)


@app.command()
def oddities(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    campaign: CampaignOption = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show events that should not have come, or not so, and what was done about each.

    Late billing, billing after a loss, prices above the bid: by campaign and exchange, with the
    cost. Repeats are not stored; `adctl_events_total` counts those as duplicate and repriced.

    Example: adctl report oddities --since 7d --output csv
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    rows = _of_campaign(ctx, reporting.oddities, period, campaign)
    _render([row._asdict() for row in rows], period, output, reporting.OddityRow._fields)


@app.command()
def alarms(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    campaign: CampaignOption = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show alarms: budgets that run out, campaigns off their pace, events that were not stored.

    When they are raised is set under [alarms] in the configuration; webhooks tell of them too.

    Example: adctl report alarms --since 7d --campaign Spring
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    rows = _of_campaign(ctx, read_alarms, period, campaign)
    _render([alarm_fields(row) for row in rows], period, output, ALARM_COLUMNS)


@app.command()
def landscape(
    ctx: typer.Context,
    since: SinceOption = "24h",
    until: UntilOption = None,
    exchange: Annotated[str | None, typer.Option(help="Only this exchange.")] = None,
    timezone: TimezoneOption = "UTC",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what was won and lost at which price: bids by CPM, eight steps for every doubling.

    Paid and min to win are averages of what exchanges told.

    Example: adctl report landscape --since 7d --exchange default
    """
    period = parse_period(since, until, timezone, datetime.now(UTC))
    with postgres_session(ctx) as session:
        rows = reporting.landscape(psycopg_of(session), period, exchange)
    _render([row._asdict() for row in rows], period, output, reporting.LandscapeRow._fields)


@app.command()
def statement(
    ctx: typer.Context,
    advertiser: Annotated[
        str, typer.Option(help="The advertiser: its id or its name.", show_default=False)
    ],
    month: MonthOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show an advertiser's month as an invoice: opening, deposits, campaigns, corrections, closing.

    Every amount is exact but the payable one, which is the total rounded to the currency's
    smallest unit. The total is what the month costs: closing = opening + deposits - total.

    Example: adctl report statement --advertiser Acme --month 2026-11
    """
    now = datetime.now(UTC)
    asked = statements.parse_month(month, now)
    with open_plane(settings_of(ctx)) as plane:
        invoice = statements.invoice(plane, advertiser, asked, now)
    if output is Output.JSON:
        render_record(invoice.fields(), output)
        return
    render_rows(invoice.rows(), output, INVOICE_COLUMNS)
    if output is Output.TABLE:
        about = f"{invoice.advertiser}, {asked.name} in UTC, {invoice.currency}"
        say(about if invoice.final else f"{about}: not final, the month is not over yet")


@app.command()
def lines(
    ctx: typer.Context,
    advertiser: Annotated[
        str | None, typer.Option(help="Only this advertiser: its id or its name.")
    ] = None,
    month: MonthOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Hold all advertisers' lines against the ledger.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what each campaign was charged, by day and exchange: the detail of invoices.

    Days are those of the booking, in UTC, so that a month's lines add up to its invoices. With
    --check only lines that are not what the ledger says are shown, if any, and the exit code is
    1; what is on its way through Kafka is given ten seconds.

    Example: adctl report lines --advertiser Acme --month 2026-11 --output csv
    """
    asked = statements.parse_month(month, datetime.now(UTC))
    if check:
        with postgres_pool(ctx) as pool:
            faults = statement_lines.check_lines(pool, asked, _CHECK_SEC)
        render_rows([fault._asdict() for fault in faults], output, LineFault._fields)
        if faults:
            raise DisprovedError(f"{len(faults)} lines are not what the ledger says")
        return
    with postgres_session(ctx) as session:
        owner = None if advertiser is None else find_advertiser(session, advertiser).id
        found = statement_lines.read_lines(psycopg_of(session), asked, owner)
    render_rows([line._asdict() for line in found], output, StatementLine._fields)


def _of_campaign(
    ctx: typer.Context,
    report: Callable[[psycopg.Connection, Period, int | None], list[Row]],
    period: Period,
    campaign: str | None,
) -> list[Row]:
    with postgres_session(ctx) as session:
        campaign_id = None if campaign is None else find_campaign(session, campaign).id
        return report(psycopg_of(session), period, campaign_id)


def _render(
    rows: list[dict[str, object]], period: Period, output: Output, columns: Sequence[str]
) -> None:
    """Print a report. Tables have the columns that their rows have, with rates in percent."""
    if not rows:
        say(f"nothing from {period}")
    if output is not Output.TABLE:
        render_rows(rows, output, columns)
    elif rows:
        render_rows([_for_people(row) for row in rows])
        say(f"{period}")


def _without(row: Mapping[str, object], unused: Iterable[str]) -> dict[str, object]:
    hidden = {_SELDOM[name] for name in unused}
    return {name: value for name, value in row.items() if name not in hidden}


def _for_people(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: f"{value:.2%}" if name in _RATES and isinstance(value, float) else value
        for name, value in row.items()
        if name not in _NOT_IN_TABLES
    }
