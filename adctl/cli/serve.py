"""``adctl serve``: one daemon, in the place of this process."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from adctl.cli.context import invocation_of, settings_of
from adctl.control.daemon_process import daemon_argv, daemon_environment

app = typer.Typer()


class Daemon(StrEnum):
    """The daemons there are."""

    BIDDER = "bidder"
    TRACKER = "tracker"
    API = "api"
    FLUSHER = "flusher"
    CONSUMER = "consumer"
    PACER = "pacer"


@app.command()
def serve(
    ctx: typer.Context,
    name: Annotated[Daemon, typer.Argument(help="Which daemon to run.")] = Daemon.BIDDER,
) -> None:
    """Run one daemon here until SIGTERM or Ctrl-C, then let it drain.

    It needs the stores: those of the configuration, or `adctl stack start`.
    This process becomes the daemon, so a service manager watches the right one.

    Example: adctl serve tracker
    """
    # What is wrong with the settings is said here, before the daemon takes over.
    settings_of(ctx)
    config_path = invocation_of(ctx).config_path
    argv = daemon_argv(name)
    os.execve(argv[0], argv, daemon_environment(config_path))  # noqa: S606 - our own interpreter and module
