"""``adctl rebuild``: what consumers built, made again from PostgreSQL's own rows."""

from collections.abc import Callable

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record
from adctl.cli.stores import postgres_pool
from adctl.control.rebuilding import GroupRebuilder, RollupRebuilder, StatementRebuilder
from adctl.stores.stream import stream_keys

app = typer.Typer(no_args_is_help=True)


@app.command()
def rollups(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Rebuild the delivery rollups from the event table, beside running daemons.

    Bids and requests stay as they are: they come from the decision log, which is not kept.

    Example: adctl rebuild rollups --dry-run
    """
    _rebuild(ctx, RollupRebuilder, dry_run, output)


@app.command()
def statements(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Rebuild the statement lines from the ledger, all of them, beside running daemons.

    They are then what `adctl report lines --check` wants them to be, whatever they were.

    Example: adctl rebuild statements --dry-run
    """
    _rebuild(ctx, StatementRebuilder, dry_run, output)


def _rebuild(
    ctx: typer.Context, of: Callable[..., GroupRebuilder], dry_run: bool, output: Output
) -> None:
    with postgres_pool(ctx) as pool:
        streams = stream_keys(settings_of(ctx).redis.shards)
        rebuilt = of(pool, *streams).rebuild(dry_run=dry_run)
    render_record({"rows": rebuilt, "written": not dry_run}, output)
