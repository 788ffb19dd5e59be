"""``adctl config``: what is in force, and what is wrong with it."""

import typer

from adctl.cli.context import invocation_of, settings_of
from adctl.cli.render import Output, OutputOption, render_rows, say, warn
from adctl.config import chosen_file
from adctl.config_sources import settings_in_force, unknown_variables

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show every key, its value and where that comes from. Secrets stay hidden.

    Example: adctl config show --output json
    """
    found = settings_in_force(settings_of(ctx), invocation_of(ctx).config_path)
    render_rows(
        [vars(setting) for setting in found], output, ["key", "value", "source", "variable"]
    )


@app.command()
def check(ctx: typer.Context) -> None:
    """Check the file and the environment; report everything wrong with them at once.

    Example: adctl --config adctl.toml config check
    """
    settings_of(ctx)
    for variable in unknown_variables():
        warn(f"{variable} is set, but no setting has that name")
    file = chosen_file(invocation_of(ctx).config_path)
    say(f"The configuration is valid ({file or 'defaults and environment'}).")
