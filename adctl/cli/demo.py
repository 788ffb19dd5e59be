"""``adctl demo``: everything at once, with users, for a while."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from adctl.cli.demo_screen import DemoScreen
from adctl.cli.live import LiveView, stopping_on_signals
from adctl.cli.render import Output, OutputOption, render_record, render_rows, say
from adctl.config import load_settings
from adctl.control.supervision import Supervisor
from adctl.demo.plan import Plan, read_plan
from adctl.demo.run import DemoRun, Snapshot, demo_environment
from adctl.demo.summary import Check, Summary
from adctl.errors import UnhealthyError
from adctl.stores.embedded.stack import EmbeddedStack

app = typer.Typer()

_CAMPAIGN_COLUMNS = ("campaign", "budget", "spent", "reserved", "available")
_LINE_EVERY_SEC = 5.0
_INTERRUPTED = 130


@app.command()
def demo(
    duration: Annotated[str, typer.Option("--for", help="How long to send traffic.")] = "30s",
    rate: Annotated[int, typer.Option(help="Bid requests a second.")] = 100,
    seed: Annotated[int, typer.Option(help="Fixes who asks for what.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs.")] = False,
    kill: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME@SECOND", help="Kill -9 a daemon or store at that second."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run everything with a mock exchange and users, then audit the stores.

    It has stores, ports and a folder of its own: neither your configuration
    nor anything that runs is touched. Exits with 8 if an event was lost or
    counted twice, or a sum does not add up.

    Example: adctl demo --for 30s --kill flusher@10 --kill valkey@15
    """
    plan = read_plan(duration, rate, seed, kill or [])
    with _demo_folder(keep) as folder:
        summary = _run(plan, folder)
    if summary is None:
        raise typer.Exit(_INTERRUPTED)
    _show(summary, output)
    if summary.failed:
        raise UnhealthyError("\n".join(["the demo's audit failed:", *_failures(summary)]))
    say("Every acknowledged event is stored once, and every sum adds up.")


def _run(plan: Plan, folder: Path) -> Summary | None:
    environment = demo_environment(os.environ, folder)
    # Settings are read from the environment; the demo's must not know of anyone else's.
    os.environ.clear()
    os.environ.update(environment)
    # That a store is away is on the screen; the pool's log lines would only tear it.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    view = LiveView()
    screen = DemoScreen(view)
    supervisor = Supervisor(load_settings(), environment, view.notify)
    run = DemoRun(plan, supervisor, _follower(view, screen))
    with stopping_on_signals() as stop, view.showing(lambda: screen.draw(run.snapshot())):
        try:
            return run.run(stop)
        finally:
            supervisor.stop()


@contextmanager
def _demo_folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="adctl-demo-"))
    # PostgreSQL's own account must get through when we are root.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        if keep:
            say(f"Kept {folder}. Look at it again with: ADCTL_STATE_DIR={folder} adctl up")
        else:
            EmbeddedStack(folder / "stack").reset()
            shutil.rmtree(folder)


def _follower(view: LiveView, screen: DemoScreen) -> Callable[[Snapshot], None]:
    """Return what follows the run, and tells a line every few seconds where there is no screen."""
    told_at = time.monotonic()

    def tell(snapshot: Snapshot) -> None:
        nonlocal told_at
        screen.note(snapshot)
        if not view.on_terminal and time.monotonic() - told_at >= _LINE_EVERY_SEC:
            told_at = time.monotonic()
            view.notify(screen.line(snapshot))

    return tell


def _failures(summary: Summary) -> list[str]:
    claims = [f"  not so: {check.claim} ({check.found})" for check in summary.failed]
    return claims + [f"  {complaint}" for complaint in summary.complaints]


def _show(summary: Summary, output: Output) -> None:
    checks = [check._asdict() for check in summary.checks]
    if output is Output.JSON:
        render_record({**summary._asdict(), "checks": checks, "ok": not summary.failed}, output)
    elif output is Output.CSV:
        render_rows(checks, output, Check._fields)
    else:
        reasons = ", ".join(f"{reason} {number}" for reason, number in summary.no_bids.items())
        render_record({**summary.traffic, "why_no_bid": reasons})
        render_rows(summary.events)
        # What is left out, so that 80 columns are enough, is in the checks and in the JSON.
        render_rows(summary.campaigns, columns=_CAMPAIGN_COLUMNS)
        render_rows(checks)
