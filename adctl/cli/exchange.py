"""``adctl exchange``: the exchanges that may send requests, and what they would get."""

from pathlib import Path
from typing import Annotated, Any

import typer

from adctl.cli.context import settings_of
from adctl.cli.render import Output, OutputOption, render_record, render_rows
from adctl.cli.stores import redis_client
from adctl.config import Settings, rates_path
from adctl.config_ceiling import max_cpm_micros
from adctl.control.exchange_samples import load_requests
from adctl.control.exchange_trial import Trial, try_exchange
from adctl.control.price_trial import PriceTrial, try_price
from adctl.delivery.currency import Rates
from adctl.delivery.terms import terms_by_exchange
from adctl.delivery.tokens import Signer
from adctl.errors import NotFoundError
from adctl.stores.rates_file import read_rates
from adctl.stores.secrets import load_signing

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Its name in the configuration.")]


@app.command("list")
def list_exchanges(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show every exchange that is configured, and where it posts its requests.

    Example: adctl exchange list
    """
    settings = settings_of(ctx)
    rows = [_fields(settings, name) for name in settings.exchanges]
    # There is always one called default.
    render_rows(rows, output, list(rows[0]))


@app.command()
def show(ctx: typer.Context, name: NameArgument, output: OutputOption = Output.TABLE) -> None:
    """Show one exchange's settings. Exits with 5 if there is no such exchange.

    Example: adctl exchange show default --output json
    """
    render_record(_fields(settings_of(ctx), name), output)


@app.command("test")
def try_out(
    ctx: typer.Context,
    name: NameArgument,
    price: Annotated[
        list[str] | None,
        typer.Option(help="Instead, say how this price of its would be read. May be repeated."),
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(help="Instead of samples, a file of bid requests: JSON, or one a line."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Answer a request of each kind as the bidder would, and say why there is no bid.

    On the campaigns and budgets of this moment. Nothing is reserved, recorded or sent; frequency
    caps are not looked at. Exits with 5 if there is no such exchange.

    Example: adctl exchange test default --price 1.40
    """
    settings = settings_of(ctx)
    _fields(settings, name)
    requests = load_requests(request) if request else None
    if price:
        read = [try_price(settings.exchanges[name], told) for told in price]
        render_rows([trial._asdict() for trial in read], output, PriceTrial._fields)
        return
    file = rates_path(settings)
    rates = read_rates(file, settings.currency) if file else Rates(settings.currency)
    terms, signer = terms_by_exchange(settings)[name], Signer(load_signing(settings).keys)
    with redis_client(ctx) as client:
        ceiling = max_cpm_micros(settings.bidder.max_cpm)
        trials = try_exchange(terms, name, client, signer, rates, ceiling, requests)
    render_rows([trial._asdict() for trial in trials], output, Trial._fields)


def _fields(settings: Settings, name: str) -> dict[str, Any]:
    exchange = settings.exchanges.get(name)
    if exchange is None:
        known = ", ".join(settings.exchanges)
        raise NotFoundError(f"no exchange is called {name}; there are {known}")
    return {
        "name": name,
        "path": "/bid-request" if name == "default" else f"/bid-request/{name}",
        "seat": exchange.seat or settings.bidder.seat,
        "currency": exchange.currency or settings.currency,
        "billing_event": exchange.billing_event,
        "win_notice": exchange.win_notice,
        "billing_notice": exchange.billing_notice,
        "loss_notice": exchange.loss_notice,
        "preset": exchange.preset or None,
        "price_encoding": exchange.price_form.encoding,
        "price_unit": exchange.price_form.unit,
        "price_macro": exchange.price_form.macro,
        "price_lacks_fee_percent": exchange.price_lacks_fee_percent,
        "qps_limit": exchange.qps_limit or None,
        "no_bid": exchange.no_bid,
        "gdpr_policy": exchange.gdpr_policy or settings.privacy.gdpr_policy,
    }
