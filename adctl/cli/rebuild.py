"""``adctl rebuild``: what consumers built, made again from PostgreSQL's own rows."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import DryRunOption, Output, OutputOption, render_record, render_rows
from adctl.cli.stores import postgres_pool
from adctl.control.periods import parse_hour
from adctl.control.rebuilding import GroupRebuilder, RollupRebuilder, StatementRebuilder, Step
from adctl.control.rollup_check import CheckedHour, RollupCheck
from adctl.errors import DisprovedError, Fault, FaultyInputError
from adctl.stores.rollups import ALWAYS
from adctl.stores.stream import stream_keys

app = typer.Typer(no_args_is_help=True)

_CHECK_SEC = 10.0
_TELL_SEC = 3.0


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
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing: hold the hours against their events.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --check: only so many hours, this one and others at random. Default: all.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rebuild the delivery rollups from the event table, beside running daemons.

    Bids and requests stay as they are: they come from the decision log, which is not kept.
    With --check the exit code is 1 if any hour is not what its events say, the one that is not over
    included; what is on its way through Kafka is given ten seconds.

    Example: adctl rebuild rollups --since 7d --check --sample 5
    """
    now = datetime.now(UTC)
    began = ALWAYS if since is None else parse_hour("--since", since, now)
    if sample is not None and not check:
        raise FaultyInputError("rebuild", [Fault("--sample", str(sample), "--check with it")])
    if check:
        _check(ctx, began, now, sample, output)
        return
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


def _check(
    ctx: typer.Context, since: datetime, now: datetime, sample: int | None, output: Output
) -> None:
    with postgres_pool(ctx) as pool:
        checked = RollupCheck(pool).check(since, now, sample, _CHECK_SEC)
    render_rows([hour._asdict() for hour in checked], output, CheckedHour._fields)
    if wrong := [hour for hour in checked if hour.different]:
        raise DisprovedError(f"{len(wrong)} of {len(checked)} hours are not what their events say")


def _rebuild(
    ctx: typer.Context,
    of: Callable[..., GroupRebuilder],
    since: datetime,
    dry_run: bool,
    output: Output,
) -> None:
    with postgres_pool(ctx) as pool:
        streams = stream_keys(settings_of(ctx).redis.shards)
        rebuilt = of(pool, *streams).rebuild(since, dry_run=dry_run, tell=_now_and_then())
    render_record({"rows": rebuilt, "written": not dry_run}, output)


def _now_and_then() -> Callable[[Step], None]:
    """Return what tells how far it is, on standard error, if that takes long."""
    told_at = time.monotonic()

    def tell(step: Step) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_SEC:
            told_at = time.monotonic()
            typer.echo(f"{step.told}; {step.left} days are left", err=True)

    return tell
