"""``adctl rebuild``: what consumers built, made again from PostgreSQL's own rows."""

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record
from adctl.cli.stores import postgres_pool
from adctl.control.rebuilding import RollupRebuilder
from adctl.stores.stream import stream_keys

# A callback keeps `rollups` a word of its own while it is the only command.
app = typer.Typer(no_args_is_help=True)


@app.callback()
def rebuild() -> None:
    """Make again what consumers built, from PostgreSQL's own rows."""


@app.command()
def rollups(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Rebuild the delivery rollups from the event table, beside running daemons.

    Bids and requests stay as they are: they come from the decision log, which is not kept.

    Example: adctl rebuild rollups --dry-run
    """
    with postgres_pool(ctx) as pool:
        streams = stream_keys(settings_of(ctx).redis.shards)
        rebuilt = RollupRebuilder(pool, *streams).rebuild(dry_run=dry_run)
    render_record({"rows": rebuilt, "written": not dry_run}, output)
