"""``adctl rebuild``: what consumers built, made again from PostgreSQL's own rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record
from adctl.cli.stores import postgres_pool
from adctl.control.periods import parse_hour
from adctl.control.rebuilding import GroupRebuilder, RollupRebuilder, StatementRebuilder
from adctl.stores.rollups import ALWAYS
from adctl.stores.stream import stream_keys

app = typer.Typer(no_args_is_help=True)


@app.command()
def rollups(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only from here on: 24h, 7d, or a date as 2026-11-01 or with T15:00 (UTC). "
            "Default: all there is."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rebuild the delivery rollups from the event table, beside running daemons.

    Bids and requests stay as they are: they come from the decision log, which is not kept.

    Example: adctl rebuild rollups --since 7d --dry-run
    """
    began = ALWAYS if since is None else parse_hour("--since", since, datetime.now(UTC))
    _rebuild(ctx, RollupRebuilder, began, dry_run, output)


@app.command()
def statements(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Rebuild the statement lines from the ledger, all of them, beside running daemons.

    They are then what `adctl report lines --check` wants them to be, whatever they were.

    Example: adctl rebuild statements --dry-run
    """
    _rebuild(ctx, StatementRebuilder, ALWAYS, dry_run, output)


def _rebuild(
    ctx: typer.Context,
    of: Callable[..., GroupRebuilder],
    since: datetime,
    dry_run: bool,
    output: Output,
) -> None:
    with postgres_pool(ctx) as pool:
        streams = stream_keys(settings_of(ctx).redis.shards)
        rebuilt = of(pool, *streams).rebuild(since, dry_run=dry_run)
    render_record({"rows": rebuilt, "written": not dry_run}, output)
