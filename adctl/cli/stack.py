"""``adctl stack``: the embedded PostgreSQL, Valkey and Kafka-protocol broker."""

from typing import Annotated

import typer

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
from adctl.errors import UnhealthyError
from adctl.stores.embedded.stack import EmbeddedStack
from adctl.stores.endpoints import stack_folder

app = typer.Typer(no_args_is_help=True)

COLUMNS = ("name", "running", "pid", "port", "version")


@app.command()
def start(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    output: OutputOption = Output.TABLE,
) -> None:
    """Start the servers that do not run yet and leave them running.

    Example: adctl stack start
    """
    stack = EmbeddedStack(stack_folder(settings_of(ctx)), host)
    stack.start(owned=False)
    render_rows([vars(server) for server in stack.status()], output, COLUMNS)
    say(f"Data, logs and passwords are in {stack.folder}.")


@app.command()
def stop(ctx: typer.Context) -> None:
    """Stop the servers. Their data stays, except the broker's, which lives in memory.

    Example: adctl stack stop
    """
    stack = EmbeddedStack(stack_folder(settings_of(ctx)))
    running = [server.name for server in stack.status() if server.running]
    stack.stop()
    say(f"Stopped {', '.join(reversed(running))}." if running else "Nothing was running.")


@app.command()
def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show each server's process, port and version. Exits with 8 if one is down.

    Example: adctl stack status --output json
    """
    stack = EmbeddedStack(stack_folder(settings_of(ctx)))
    servers = stack.status()
    render_rows([vars(server) for server in servers], output, COLUMNS)
    down = [server.name for server in servers if not server.running]
    if down:
        raise UnhealthyError(f"not running: {', '.join(down)}; `adctl stack start` starts them")


@app.command()
def reset(ctx: typer.Context, yes: YesOption = False, dry_run: DryRunOption = False) -> None:
    """Delete everything the stopped servers have kept: campaigns, events, the ledger.

    Example: adctl stack reset --dry-run
    """
    stack = EmbeddedStack(stack_folder(settings_of(ctx)))
    paths = stack.paths()
    if dry_run:
        render_rows([{"would_delete": str(path)} for path in paths])
        return
    confirm(f"Delete all data of the stack in {stack.folder}?", yes=yes)
    stack.reset()
    say(f"Deleted {len(paths)} files and folders of {stack.folder}.")
