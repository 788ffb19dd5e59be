"""``adctl config``: what is in force, and what is wrong with it."""

import typer

from adctl.cli.context import invocation_of, settings_of
from adctl.cli.render import Output, OutputOption, render_rows, say, warn
from adctl.config import chosen_file, rates_path
from adctl.config_sources import settings_in_force, unknown_variables
from adctl.stores.rates_file import read_rates
from adctl.stores.secrets import are_configured, read_signing_keys

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
    """Check the file, the environment and the exchange rates; report everything wrong at once.

    Example: adctl --config adctl.toml config check
    """
    settings = settings_of(ctx)
    for variable in unknown_variables():
        warn(f"{variable} is set, but no setting has that name")
    if (rates := rates_path(settings)) is not None:
        known = len(read_rates(rates, settings.currency)) - 1
        say(f"Exchange rates to {settings.currency} for {known} currencies ({rates}).")
    if are_configured(settings):
        first, *others = read_signing_keys(settings)
        also = f", {', '.join(map(str, others))} verify too" if others else ""
        say(f"Of signing.keys {first} is to sign{also}.")
    file = chosen_file(invocation_of(ctx).config_path)
    say(f"The configuration is valid ({file or 'defaults and environment'}).")
