"""``adctl advertiser``."""

from typing import Annotated

import typer

from adctl.cli.changing import ActorOption, report, report_created, show_all, show_history
from adctl.cli.changing import show as show_view
from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, YesOption, confirm
from adctl.control import advertisers
from adctl.control import history as audit
from adctl.control.plane import open_plane
from adctl.models import Status

app = typer.Typer(no_args_is_help=True)

AdvertiserArgument = Annotated[str, typer.Argument(help="Id or name.", show_default=False)]
NameOption = Annotated[
    str | None, typer.Option(help="The advertiser's name; no other has it.", show_default=False)
]


@app.command()
def create(
    ctx: typer.Context,
    actor: ActorOption,
    name: NameOption = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create an advertiser and print its id.

    Example: adctl advertiser create --name Acme
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = advertisers.create(plane, actor, {"name": name}, dry_run=dry_run)
    report_created("advertiser", outcome, output)


@app.command("list")
def list_(
    ctx: typer.Context,
    status: Annotated[
        Status | None, typer.Option(help="Only those; archived ones are shown for no other reason.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List advertisers.

    Example: adctl advertiser list --output csv
    """
    with open_plane(settings_of(ctx)) as plane:
        views = advertisers.list_all(plane, status=status)
    show_all(views, output, ("id", "name", "status", "created_at", "updated_at"))


@app.command()
def show(
    ctx: typer.Context, advertiser: AdvertiserArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show an advertiser.

    Example: adctl advertiser show Acme
    """
    with open_plane(settings_of(ctx)) as plane:
        view = advertisers.show(plane, advertiser)
    show_view(view, output)


@app.command()
def update(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    actor: ActorOption,
    name: NameOption = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rename an advertiser.

    Example: adctl advertiser update Acme --name "Acme Ltd"
    """
    patch = {} if name is None else {"name": name}
    with open_plane(settings_of(ctx)) as plane:
        outcome = advertisers.update(plane, actor, advertiser, patch, dry_run=dry_run)
    report("advertiser", "updated", outcome, output)


@app.command()
def pause(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop all campaigns of an advertiser from bidding; their own status stays.

    Example: adctl advertiser pause Acme
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = advertisers.pause(plane, actor, advertiser, dry_run=dry_run)
    report("advertiser", "paused", outcome, output)


@app.command()
def resume(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a paused advertiser's campaigns bid again, those that are active.

    Example: adctl advertiser resume Acme
    """
    with open_plane(settings_of(ctx)) as plane:
        outcome = advertisers.resume(plane, actor, advertiser, dry_run=dry_run)
    report("advertiser", "resumed", outcome, output)


@app.command()
def archive(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    actor: ActorOption,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop all campaigns of an advertiser for good. Spend and history stay.

    Example: adctl advertiser archive Acme --yes
    """
    with open_plane(settings_of(ctx)) as plane:
        view = advertisers.show(plane, advertiser)
        question = f"Archive advertiser {view.id} ({view.name}) and stop its campaigns for good?"
        confirm(question, yes=yes or dry_run)
        outcome = advertisers.archive(plane, actor, view.id, dry_run=dry_run)
    report("advertiser", "archived", outcome, output)


@app.command()
def history(
    ctx: typer.Context, advertiser: AdvertiserArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show who changed what when.

    Example: adctl advertiser history Acme
    """
    with open_plane(settings_of(ctx)) as plane:
        entries = audit.history(plane, "advertiser", advertiser)
    show_history(entries, output)
