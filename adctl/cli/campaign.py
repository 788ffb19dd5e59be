"""``adctl campaign``."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from adctl.cli.campaign_fields import CAMPAIGN_OPTIONS, campaign_fields, cleared
from adctl.cli.changing import (
    ActorOption,
    by_id_or_name,
    report,
    report_created,
    show_all,
    show_history,
    with_options,
)
from adctl.cli.changing import show as show_view
from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, YesOption, confirm, render_rows
from adctl.cli.stores import postgres_session, redis_client
from adctl.control import campaigns
from adctl.control import history as audit
from adctl.control.budget_report import read_budgets
from adctl.control.periods import parse_period
from adctl.control.plane import open_plane
from adctl.control.reporting import candidates
from adctl.control.standing import Standing, standing
from adctl.models import Status
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.steering import SteeringStore
from adctl.stores.tables import psycopg_of

app = typer.Typer(no_args_is_help=True)

CampaignArgument = Annotated[
    str, typer.Argument(help="Id, or a name that only one has.", show_default=False)
]
StatusOption = Annotated[
    Status | None, typer.Option(help="Only those; archived ones are shown for no other reason.")
]

_COLUMNS = (
    *("id", "name", "advertiser", "status", "serving", "strategy", "bid"),
    *("daily_budget", "budget", "currency", "start", "end"),
)


@app.command()
@with_options(CAMPAIGN_OPTIONS)
def create(
    ctx: typer.Context,
    actor: ActorOption,
    advertiser: Annotated[
        str | None, typer.Option(help="The advertiser's id or name.", show_default=False)
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Do not serve before resumed.")] = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
    **chosen: Any,
) -> None:
    """Create a campaign and print its id. It needs an advertiser, a name, a budget and a bid.

    Example: adctl campaign create --advertiser Acme --name Spring --budget 500 --bid 2.00
    """
    fields = campaign_fields(chosen) | {"status": Status.PAUSED if paused else Status.ACTIVE}
    if advertiser is not None:
        fields["advertiser"] = advertiser
    with open_plane(settings_of(ctx)) as plane:
        outcome = campaigns.create(plane, actor, fields, dry_run=dry_run)
    report_created("campaign", outcome, output)


@app.command("list")
def list_(
    ctx: typer.Context,
    status: StatusOption = None,
    advertiser: Annotated[
        str | None, typer.Option(help="Only this advertiser's, by id or name.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List campaigns, and whether each is serving.

    Example: adctl campaign list --advertiser Acme --status paused --output json
    """
    with open_plane(settings_of(ctx)) as plane:
        views = campaigns.list_all(plane, status=status, advertiser=advertiser)
    show_all(views, output, _COLUMNS)


@app.command()
@by_id_or_name("campaign")
def show(
    ctx: typer.Context, campaign: CampaignArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show everything about a campaign.

    Example: adctl campaign show Spring
    """
    with open_plane(settings_of(ctx)) as plane:
        view = campaigns.show(plane, campaign)
    show_view(view, output)


@app.command()
@by_id_or_name("campaign")
def explain(
    ctx: typer.Context, campaign: CampaignArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show why a campaign does or does not bid: state, money, pace, caps, and what came of it.

    Counted and sampled are as in adctl report candidates, of the last hour and the one it is.

    Example: adctl campaign explain Spring
    """
    now = datetime.now(UTC)
    with open_plane(settings_of(ctx)) as plane:
        view = campaigns.show(plane, campaign)
    with postgres_session(ctx) as session, redis_client(ctx) as client:
        conn = psycopg_of(session)
        shards = settings_of(ctx).redis.shards
        budgets, steering = open_budgets(client, shards), SteeringStore(client, shards)
        (budget,) = read_budgets(conn, budgets, steering, view.id)
        fared = candidates(conn, parse_period("1h", None, "UTC", now), view.id)
    found = standing(view, budget, fared, settings_of(ctx).bidder.max_cpm, now)
    render_rows([one._asdict() for one in found], output, Standing._fields)


@app.command()
@by_id_or_name("campaign", "--id")
@with_options(CAMPAIGN_OPTIONS)
def update(
    ctx: typer.Context,
    campaign: CampaignArgument,
    actor: ActorOption,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            help="Take a field back: end, caps, deals, max_cpm, targeting or targeting.countries. "
            "May be repeated."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
    **chosen: Any,
) -> None:
    """Change fields of a campaign. A targeting option replaces that one list.

    Example: adctl campaign update Spring --bid 2.50 --country USA --country CAN --clear end
    """
    patch = cleared(campaign_fields(chosen), clear or [])
    with open_plane(settings_of(ctx)) as plane:
        outcome = campaigns.update(plane, actor, campaign, patch, dry_run=dry_run)
    report("campaign", "updated", outcome, output)


@app.command()
@by_id_or_name("campaign")
def pause(
    ctx: typer.Context,
    campaign: CampaignArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop a campaign from bidding until it is resumed.

    Example: adctl campaign pause Spring
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = campaigns.pause(plane, actor, campaign, dry_run=dry_run)
    report("campaign", "paused", outcome, output)


@app.command()
@by_id_or_name("campaign")
def resume(
    ctx: typer.Context,
    campaign: CampaignArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a paused campaign bid again.

    Example: adctl campaign resume Spring
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = campaigns.resume(plane, actor, campaign, dry_run=dry_run)
    report("campaign", "resumed", outcome, output)


@app.command()
@by_id_or_name("campaign")
def archive(
    ctx: typer.Context,
    campaign: CampaignArgument,
    actor: ActorOption,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a campaign for good. Its spend and history stay.

    Example: adctl campaign archive Spring --yes
    """
    with open_plane(settings_of(ctx)) as plane:
        view = campaigns.show(plane, campaign)
        confirm(f"Archive campaign {view.id} ({view.name}) for good?", yes=yes or dry_run)
        outcome = campaigns.archive(plane, actor, view.id, dry_run=dry_run)
    report("campaign", "archived", outcome, output)


@app.command()
@by_id_or_name("campaign")
def history(
    ctx: typer.Context, campaign: CampaignArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show who changed what when, its creatives included.

    Example: adctl campaign history Spring
    """
    with open_plane(settings_of(ctx)) as plane:
        entries = audit.history(plane, "campaign", campaign)
    show_history(entries, output)
