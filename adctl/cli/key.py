"""``adctl key``: the keys that sign tokens, and those with which advertisers report conversions."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from adctl.cli.changing import ActorOption
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
    warn,
)
from adctl.control import pixel_keys, signing_keys
from adctl.control.keys import KeyDesk, KeyView, open_key_desk
from adctl.control.plane import Outcome, reading

app = typer.Typer(no_args_is_help=True)

IdArgument = Annotated[
    str, typer.Argument(help="As `adctl key list` shows it: 2, or 7.p2.", show_default=False)
]
AdvertiserOption = Annotated[
    str | None,
    typer.Option(help="An advertiser's id or name: one of its own keys.", show_default=False),
]


class Kind(StrEnum):
    """What a key is for."""

    SIGNING = "signing"
    PIXEL = "pixel"


@app.command("list")
def list_(
    ctx: typer.Context,
    kind: Annotated[Kind | None, typer.Option(help="Only those.", show_default=False)] = None,
    advertiser: AdvertiserOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the keys: who has each, since when it signs, and when it may be retired.

    A key `verifies` only, or `signs`, or is `retiring`: it has signed, and another does so now.
    `unknown_to` are daemons that would refuse what it signs.

    Example: adctl key list --kind signing
    """
    with open_key_desk(settings_of(ctx)) as desk:
        views = desk.listing(kind, advertiser)
    render_rows([view._asdict() for view in views], output, KeyView._fields)


@app.command()
def add(
    ctx: typer.Context,
    actor: ActorOption,
    advertiser: AdvertiserOption = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a key that verifies only, and print its id. Daemons on its host learn of it in seconds.

    Keys that stand in signing.keys are added there by hand: this says how, and exits with 6.

    Example: adctl key add
    """
    with open_key_desk(settings_of(ctx)) as desk:
        if advertiser is None:
            outcome = signing_keys.add(desk, actor, dry_run=dry_run)
        else:
            outcome = pixel_keys.add(desk, actor, advertiser, dry_run=dry_run)
    _report("made; it verifies, and does not sign", outcome, output)
    if output is Output.TABLE and not dry_run:
        typer.echo(outcome.view.id)


@app.command()
def promote(
    ctx: typer.Context,
    key: IdArgument,
    actor: ActorOption,
    advertiser: AdvertiserOption = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="Daemons that have been silent for a while are gone.")
    ] = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have a key sign in place of the one that does.

    Exits with 6, and says who, while a running daemon that verifies does not know it. An
    advertiser's key becomes the one that `adctl advertiser pixel` shows.

    Example: adctl key promote 2
    """
    with open_key_desk(settings_of(ctx)) as desk:
        owner, number = _read_id(desk, key, advertiser)
        if owner is None:
            outcome = signing_keys.promote(
                desk, actor, number, without_silent=gone, dry_run=dry_run
            )
        else:
            outcome = pixel_keys.promote(desk, actor, owner, number, dry_run=dry_run)
    _report("promoted; it signs", outcome, output)


@app.command()
def retire(
    ctx: typer.Context,
    key: IdArgument,
    actor: ActorOption,
    advertiser: AdvertiserOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Though what it signed still comes: that is then refused."),
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Remove a key, once nothing that it signed counts any more.

    Exits with 6, and says until when, while tokens, click ids or pixels signed with it may come.

    Example: adctl key retire 1 --yes
    """
    with open_key_desk(settings_of(ctx)) as desk:
        owner, number = _read_id(desk, key, advertiser)

        def run(only_try: bool) -> Outcome[KeyView]:
            if owner is None:
                return signing_keys.retire(desk, actor, number, force=force, dry_run=only_try)
            return pixel_keys.retire(desk, actor, owner, number, force=force, dry_run=only_try)

        outcome = run(True)
        if not dry_run:
            outcome = _retire(outcome.view, run, yes=yes, force=force)
    _report("retired", outcome, output)


def _retire(
    view: KeyView, run: Callable[[bool], Outcome[KeyView]], *, yes: bool, force: bool
) -> Outcome[KeyView]:
    lost = " What it signed is refused from then on, genuine as it is." if force else ""
    confirm(f"Retire key {view.id} for good?{lost}", yes=yes)
    return run(False)


def _read_id(desk: KeyDesk, text: str, advertiser: str | None) -> tuple[int | None, int]:
    with reading(desk.plane) as session:
        return desk.read_id(session, text, advertiser)


def _report(done: str, outcome: Outcome[KeyView], output: Output) -> None:
    view = outcome.view
    whose = f" of {view.owner}" if view.owner else ""
    if outcome.changed and outcome.dry_run:
        say(f"dry run: key {view.id}{whose} would be {done}; nothing was written")
    elif outcome.changed:
        say(f"key {view.id}{whose} {done}")
    elif not outcome.notices:
        say(f"key {view.id}{whose} was like that already")
    for notice in outcome.notices:
        warn(notice)
    if output is not Output.TABLE or outcome.dry_run:
        render_record(view._asdict(), output)
