"""``adctl advertiser``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from adctl.cli.changing import (
    ActorOption,
    by_id_or_name,
    report,
    report_created,
    show_all,
    show_history,
)
from adctl.cli.changing import show as show_view
from adctl.cli.context import settings_of
from adctl.cli.render import (
    DryRunOption,
    Output,
    OutputOption,
    YesOption,
    confirm,
    render_record,
    render_rows,
    say,
)
from adctl.control import accounting, advertisers, statements
from adctl.control import history as audit
from adctl.control.drafts import VoucherView
from adctl.control.pixel_keys import shown_key
from adctl.control.plane import Outcome, open_plane
from adctl.models import Status
from adctl.stores.secrets import load_signing

app = typer.Typer(no_args_is_help=True)

AdvertiserArgument = Annotated[str, typer.Argument(help="Id or name.", show_default=False)]
NameOption = Annotated[
    str | None, typer.Option(help="The advertiser's name; no other has it.", show_default=False)
]
FeeOption = Annotated[
    str | None,
    typer.Option(help="What it is charged on top of its spend, in percent.", show_default=False),
]
PrepaidOption = Annotated[
    bool | None,
    typer.Option(
        "--prepaid/--postpaid",
        help="Whether its campaigns stop when what it has paid in is spent. [default: postpaid]",
        show_default=False,
    ),
]
_COLUMNS = (
    "id",
    "name",
    "status",
    "prepaid",
    "fee_percent",
    "balance",
    "created_at",
    "updated_at",
)


@app.command()
def create(
    ctx: typer.Context,
    actor: ActorOption,
    name: NameOption = None,
    fee_percent: FeeOption = None,
    prepaid: PrepaidOption = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create an advertiser and print its id.

    Example: adctl advertiser create --name Acme --fee-percent 15 --prepaid
    """
    fields = {"name": name, **_chosen(fee_percent=fee_percent, prepaid=prepaid)}
    with open_plane(settings_of(ctx)) as plane:
        outcome = advertisers.create(plane, actor, fields, dry_run=dry_run)
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
    show_all(views, output, _COLUMNS)


@app.command()
@by_id_or_name("advertiser")
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
@by_id_or_name("advertiser", "--id")
def update(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    actor: ActorOption,
    name: NameOption = None,
    fee_percent: FeeOption = None,
    prepaid: PrepaidOption = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Change an advertiser's name, its fee, or whether it pays in advance.

    A new fee is charged on what is booked from then on.

    Example: adctl advertiser update Acme --name "Acme Ltd" --fee-percent 12.5
    """
    patch = _chosen(name=name, fee_percent=fee_percent, prepaid=prepaid)
    with open_plane(settings_of(ctx)) as plane:
        outcome = advertisers.update(plane, actor, advertiser, patch, dry_run=dry_run)
    report("advertiser", "updated", outcome, output)


@app.command()
@by_id_or_name("advertiser")
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
@by_id_or_name("advertiser")
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
@by_id_or_name("advertiser")
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


@app.command(context_settings={"ignore_unknown_options": True})
@by_id_or_name("advertiser")
def deposit(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    amount: Annotated[str, typer.Argument(help="What was paid, such as 500 or 499.90.")],
    actor: ActorOption,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Which payment it is: a repeat with the same one changes nothing.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add a payment to an advertiser's balance. Exits with 6 if it was booked otherwise.

    Example: adctl advertiser deposit Acme 500 --reference "bank 2026-11-03/17"
    """
    fields = {"amount": amount, "reference": reference}
    with open_plane(settings_of(ctx)) as plane:
        outcome = accounting.deposit(plane, actor, advertiser, fields, dry_run=dry_run)
    _show_voucher(outcome, output)


@app.command()
@by_id_or_name("advertiser")
def correct(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    actor: ActorOption,
    credit: Annotated[
        str | None, typer.Option(help="The amount to add to its balance.", show_default=False)
    ] = None,
    charge: Annotated[
        str | None, typer.Option(help="The amount to take from its balance.", show_default=False)
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Why. Statements show it.", show_default=False)
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Credit or charge an advertiser outside the course of business, for a reason.

    Nothing that is booked is ever changed; a wrong correction is taken back by another one.

    Example: adctl advertiser correct Acme --credit 12.50 --reason "invalid traffic in May" --yes
    """
    fields = _chosen(credit=credit, charge=charge, reason=reason)
    with open_plane(settings_of(ctx)) as plane:
        planned = accounting.correct(plane, actor, advertiser, fields, dry_run=True)
        if not dry_run:
            view = planned.view
            question = f"Change the balance of {view.name} by {view.amount}, to {view.balance}?"
            confirm(question, yes=yes)
            planned = accounting.correct(plane, actor, view.advertiser_id, fields)
    _show_voucher(planned, output)


@app.command()
@by_id_or_name("advertiser")
def statement(
    ctx: typer.Context,
    advertiser: AdvertiserArgument,
    month: Annotated[
        str | None,
        typer.Option(
            help="A month of UTC, such as 2026-11. Default: this one.", show_default=False
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what moved an advertiser's balance in a month, and the balance after each.

    Spend and fees are summed by campaign and day; `adctl report statement` is the month's invoice.

    Example: adctl advertiser statement Acme --month 2026-11
    """
    asked = statements.parse_month(month, datetime.now(UTC))
    with open_plane(settings_of(ctx)) as plane:
        moved = statements.movements(plane, advertiser, asked)
    render_rows([movement.fields() for movement in moved], output, statements.MOVEMENT_COLUMNS)


@app.command()
@by_id_or_name("advertiser")
def pixel(
    ctx: typer.Context, advertiser: AdvertiserArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show the address at which an advertiser reports conversions of its users, and its key.

    In place of USER goes the user's id as bid requests have it, of ORDER what tells the conversion
    from others, of VALUE what it was worth. Whoever has the key can report conversions; `adctl key`
    gives the advertiser another one.

    Example: adctl advertiser pixel Acme
    """
    settings = settings_of(ctx)
    with open_plane(settings) as plane:
        advertiser_id, key = shown_key(plane, load_signing(settings).user_key, advertiser)
    url = f"{settings.tracker.base_url}/track/conversion?k={key}&u=USER&o=ORDER&v=VALUE"
    render_record({"advertiser_id": advertiser_id, "advertiser_key": key, "url": url}, output)


@app.command()
@by_id_or_name("advertiser")
def history(
    ctx: typer.Context, advertiser: AdvertiserArgument, output: OutputOption = Output.TABLE
) -> None:
    """Show who changed what when.

    Example: adctl advertiser history Acme
    """
    with open_plane(settings_of(ctx)) as plane:
        entries = audit.history(plane, "advertiser", advertiser)
    show_history(entries, output)


def _chosen(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _show_voucher(outcome: Outcome[VoucherView], output: Output) -> None:
    view = outcome.view
    what = f"{view.kind} of {view.amount}"
    if outcome.dry_run:
        say(f"dry run: {what} would be booked for {view.name}; nothing was written")
    elif outcome.changed:
        say(f"{what} booked for {view.name}, whose balance is now {view.balance}")
    else:
        say(f"{what} with the reference {view.reference} was booked already, at {view.booked_at}")
    if output is not Output.TABLE or outcome.dry_run:
        show_view(view, output)
