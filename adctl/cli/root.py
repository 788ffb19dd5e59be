"""The root of the command line: its nouns, its global options, its errors."""

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from adctl import __version__
from adctl.cli.context import Invocation
from adctl.cli.render import show_error
from adctl.errors import AdctlError

# One line for each module of adctl.cli that has an `app`: its name is the module's and the
# command's, the text is what `adctl --help` says of it. A module's app with a single command is
# that command (`adctl doctor`), any other a group (`adctl stack start`).
NOUNS = {
    "config": "Show and check the configuration.",
    "stack": "Run PostgreSQL, Valkey and a Kafka-protocol broker on this machine.",
    "db": "Bring the schema up to date, show sizes, drop old events.",
    "doctor": "Check everything adctl needs, by name.",
    "advertiser": "Create and change advertisers.",
    "campaign": "Create and change campaigns.",
    "creative": "Create and change creatives.",
    "budget": "Show campaigns' money, live and in the ledger.",
    "exchange": "Show exchanges, and try what they would get.",
    "fcap": "Look into frequency caps.",
    "user": "Forget users.",
    "key": "Show, add, promote and retire the keys that sign.",
    "report": "Report what was bid, delivered and spent.",
    "flush": "Show and hurry the events on their way to PostgreSQL and Kafka.",
    "topic": "Show and create the Kafka topics.",
    "rejected": "Look into events that could not be stored, and put them back.",
    "deadletter": "Look into messages consumers could make nothing of, and put them back.",
    "consumer": "Show how far consumers have read, and let them read again.",
    "webhook": "Tell others of campaign changes and alarms.",
    "rebuild": "Make again what consumers built, from PostgreSQL's own rows.",
    "serve": "Run one daemon.",
    "up": "Run the stores and every daemon on this machine.",
    "bench": "Measure how fast a running bidder answers.",
    "demo": "Watch it all work: a mock exchange with users, on stores of its own.",
}

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class RootGroup(TyperGroup):
    """Loads a noun's module when the noun is used, and turns errors into exit codes.

    Loading late keeps ``adctl --help`` and completion from waiting for every driver.
    """

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, summary in NOUNS.items():
            self.commands[name] = TyperCommand(name=name, help=summary)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the arguments."""
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt as exc:
            raise typer.Exit(EXIT_INTERRUPTED) from exc

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that ``args`` names, loaded."""
        if args[0] in NOUNS:
            self.commands[args[0]] = load_noun(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. The one place where errors become a message and an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except AdctlError as exc:
            show_error(str(exc))
            raise typer.Exit(exc.exit_code) from exc
        except KeyboardInterrupt as exc:
            raise typer.Exit(EXIT_INTERRUPTED) from exc
        except BrokenPipeError as exc:
            # What is still buffered cannot go anywhere; the interpreter would say so at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_BROKEN_PIPE) from exc
        except Exception as exc:
            if _is_cli_control_flow(exc):
                raise
            show_error(_describe_bug(exc))
            raise typer.Exit(AdctlError.exit_code) from exc
        return result


def load_noun(name: str) -> Any:
    """Return the command, or group of commands, of the module ``adctl.cli.<name>``."""
    app = importlib.import_module(f"adctl.cli.{name}").app
    mount = typer.Typer(add_completion=False)
    is_command = len(app.registered_commands) == 1 and not app.registered_groups
    if is_command and app.registered_callback is None:
        mount.registered_commands = app.registered_commands
        return typer.main.get_command(mount)
    mount.add_typer(app, name=name, help=NOUNS.get(name))
    mount.callback()(lambda: None)
    return typer.main.get_group(mount).commands[name]


def _is_cli_control_flow(exc: Exception) -> bool:
    # Typer's own exceptions: usage errors, Exit and Abort.
    return isinstance(exc, (typer.Exit, typer.Abort)) or hasattr(exc, "format_message")


def _describe_bug(exc: Exception) -> str:
    if os.environ.get("ADCTL_DEBUG"):
        return "".join(traceback.format_exception(exc))
    return (
        f"{type(exc).__name__}: {exc}\n"
        "This is a bug in adctl: with ADCTL_DEBUG=1 it prints where it happened."
    )


app = typer.Typer(
    name="adctl",
    cls=RootGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adctl {__version__}")
        raise typer.Exit


@app.callback()
def adctl(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Read this file over the defaults.", envvar="ADCTL_CONFIG", show_envvar=True
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - acts through its callback
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Operate real-time advertising: campaigns, budgets, reports, and the daemons that bid.

    Example: adctl doctor
    """
    ctx.obj = Invocation(config_path=config)
