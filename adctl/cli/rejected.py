"""``adctl rejected``: events of the stream that could not be stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import (
    DryRunOption,
    Output,
    OutputOption,
    progress,
    render_record,
    render_rows,
)
from adctl.cli.stores import postgres_pool, redis_client
from adctl.control.misread_events import MisreadDay, MisreadEvents
from adctl.control.rejected import Fate, RejectedDesk, Retried, row_of
from adctl.errors import ConflictError, Fault, FaultyInputError

app = typer.Typer(no_args_is_help=True)

_COLUMNS = ("rejected", "age_sec", "kind", "campaign_id", "campaign", "cost", "reason")
_RETRIED = ("rejected", "kind", "campaign_id", "cost", "fate", "why")
_NAMED = "SHARD/STREAM_ID, as `list` shows it."


@app.command(name="list")
def list_rejected(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show every event that could not be stored, oldest first: what it is, its cost, and why.

    What such events cost counts as spent until they are booked. Where an entry cannot be read, what
    it costs is unknown.

    Example: adctl rejected list --output json
    """
    now = datetime.now(UTC)
    with _desk(ctx) as desk:
        render_rows([row_of(entry, now) for entry in desk.waiting()], output, _COLUMNS)


@app.command()
def show(
    ctx: typer.Context,
    rejected: Annotated[str, typer.Argument(help=_NAMED)],
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one rejected event whole, as it came. Exits with 5 if there is no such one.

    Example: adctl rejected show 0/1793491200123-0
    """
    with _desk(ctx) as desk:
        render_record(desk.show(rejected), output)


@app.command()
def retry(
    ctx: typer.Context,
    rejected: Annotated[
        list[str] | None, typer.Argument(help="Which: SHARD/STREAM_ID each, as `list` shows them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put rejected events back, once their cause is mended, and show what became of each.

    Each is stored, booked and sent to Kafka once, however often it is put back, and whoever is
    killed over it. Events of bids in a foreign currency whose place was misread are read again
    first. Exits with 6 if some still wait, or while somebody else puts events back.

    Example: adctl rejected retry --all --dry-run
    """
    if every is bool(rejected):
        raise FaultyInputError(
            "the choice of events",
            [Fault("rejected", " ".join(rejected or ()), "either names or --all")],
        )
    done: list[Retried] = []
    with _desk(ctx) as desk:
        chosen = desk.waiting() if every else desk.choose(rejected or [])
        work = desk.try_out(chosen) if dry_run else desk.retry(chosen)
        with progress("putting back", len(chosen)) as advance:
            for some in work:
                done += some
                advance(len(some))
    render_rows([one.row() for one in done], output, _RETRIED)
    left = sum(one.fate in (Fate.REFUSED, Fate.WAITING) for one in done)
    if left and not dry_run:
        raise ConflictError(f"{left} of {len(done)} still wait")


@app.command()
def misread(
    ctx: typer.Context, dry_run: DryRunOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Mend events that were stored with a place misread from a foreign currency's bytes.

    At rates of three or four characters, such as 1.25, they could be stored. They get their
    campaign's advertiser; country, device and site are lost. Shows how many there are, by the day
    of the bid; `adctl rebuild rollups` puts reports right afterwards.

    Example: adctl rejected misread --dry-run
    """
    found: list[MisreadDay] = []
    with postgres_pool(ctx) as pool:
        events = MisreadEvents(pool)
        days = events.days()
        with progress("looking at days", len(days)) as advance:
            for some in events.mend(days, dry_run=dry_run):
                found += some
                advance(1)
    render_rows([one.fields() for one in found], output, MisreadDay._fields)


@contextmanager
def _desk(ctx: typer.Context) -> Iterator[RejectedDesk]:
    shards = settings_of(ctx).redis.shards
    with postgres_pool(ctx) as pool, redis_client(ctx) as client:
        yield RejectedDesk(pool, client, shards)
