"""``adctl db``: the schema of PostgreSQL, how large it is, and how long events are kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import typer

from adctl.cli.changing import ActorOption
from adctl.cli.context import settings_of
from adctl.cli.render import (
    DryRunOption,
    Output,
    OutputOption,
    YesOption,
    confirm,
    render_rows,
    say,
)
from adctl.cli.stores import postgres_pool, redis_client
from adctl.control.flushing import Flusher
from adctl.control.retaining import Day, Policy, Retention, TableSize, table_sizes
from adctl.stores.endpoints import resolve_postgres
from adctl.stores.migrations import migrate as apply_migrations
from adctl.stores.migrations import migration_states, pending
from adctl.stores.stream import event_streams

app = typer.Typer(no_args_is_help=True)

_MIGRATION = ("migration", "state")


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
    render_rows([{"migration": name, "state": state} for name in names], output, _MIGRATION)


@app.command()
def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show every migration and whether it has been applied.

    Example: adctl db status --output csv
    """
    states = migration_states(resolve_postgres(settings_of(ctx)))
    rows = [{"migration": name, "state": state} for name, state in states.items()]
    render_rows(rows, output, _MIGRATION)


@app.command()
def size(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show how much every table takes on disk, the largest first. Rows are estimates.

    Example: adctl db size --output csv
    """
    with postgres_pool(ctx) as pool:
        sizes = table_sizes(pool)
    render_rows([table._asdict() for table in sizes], output, TableSize._fields)


@app.command()
def partitions(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the days of events there are, and which retention.events_days would drop.

    Example: adctl db partitions --output json
    """
    with _retention(ctx) as retention:
        days = retention.days(datetime.now(UTC))
    render_rows([day.fields() for day in days], output, Day._fields)


@app.command()
def prune(
    ctx: typer.Context,
    actor: ActorOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Drop the days of events that retention.events_days does not keep, as the pacer does.

    Reports, statement lines and the ledger stay. Nothing is dropped while events are on their way.

    Example: adctl db prune --dry-run
    """
    now = datetime.now(UTC)
    with _retention(ctx) as retention:
        due = [day for day in retention.days(now) if day.drop]
        if due and not dry_run:
            confirm(f"drop {len(due)} days of events for good?", yes=yes)
            due = retention.prune(now, actor)
    say("nothing was dropped" if dry_run or not due else f"{len(due)} days dropped")
    render_rows([day.fields() for day in due], output, Day._fields)


@contextmanager
def _retention(ctx: typer.Context) -> Iterator[Retention]:
    settings = settings_of(ctx)
    policy = Policy(settings.retention.events_days, settings.longest_event_sec)
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        streams = event_streams(client, settings.redis.shards)
        yield Retention(pool, [Flusher(pool, stream) for stream in streams], policy)
