"""``adctl db``: the schema of PostgreSQL."""

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_rows, say
from adctl.stores.endpoints import resolve_postgres
from adctl.stores.migrations import migrate as apply_migrations
from adctl.stores.migrations import migration_states, pending

app = typer.Typer(no_args_is_help=True)


@app.command()
def migrate(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Apply the migrations that have not been applied yet.

    Example: adctl db migrate --dry-run
    """
    url = resolve_postgres(settings_of(ctx))
    names = pending(url) if dry_run else apply_migrations(url)
    if not names and output is Output.TABLE:
        say("The schema is up to date.")
        return
    state = "pending" if dry_run else "applied"
    render_rows([{"migration": name, "state": state} for name in names], output)


@app.command()
def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show every migration and whether it has been applied.

    Example: adctl db status --output csv
    """
    states = migration_states(resolve_postgres(settings_of(ctx)))
    render_rows([{"migration": name, "state": state} for name, state in states.items()], output)
