"""``adctl bench``: how fast a running bidder answers."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from adctl.cli.context import settings_of
from adctl.cli.live import stopping_on_signals
from adctl.cli.render import Output, OutputOption, YesOption, confirm, progress, render_rows, say
from adctl.config import Settings
from adctl.control.load import Load, find_limit, post_steadily
from adctl.control.load_plan import LoadPlan, as_tests, read_bodies, read_plan
from adctl.demo.people import make_people
from adctl.demo.requests import RequestMaker
from adctl.errors import NotFoundError, UnhealthyError

app = typer.Typer()

_REQUESTS = 2_000
_INTERRUPTED = 130
# What is left out, so that 80 columns are enough, is in CSV and JSON.
_COLUMNS = (
    "asked_per_sec",
    "answered_per_sec",
    "bids",
    "no_bids",
    "errors",
    "p50_ms",
    "p99_ms",
    "p999_ms",
    "lag_ms",
)


@app.command()
def bench(
    ctx: typer.Context,
    url: Annotated[str, typer.Option(help="Where to. Default: the bidder configured.")] = "",
    exchange: Annotated[str, typer.Option(help="Whose requests they are.")] = "default",
    rate: Annotated[
        list[int] | None,
        typer.Option(
            help="Requests a second; several for one after the other. --find begins there."
        ),
    ] = None,
    find: Annotated[
        bool, typer.Option("--find", help="Find the highest rate at which --p99 holds.")
    ] = False,
    p99: Annotated[
        int, typer.Option(metavar="MS", help="The wait that 99 of 100 answers may take.")
    ] = 100,
    duration: Annotated[str, typer.Option("--for", help="How long at each rate.")] = "10s",
    connections: Annotated[int, typer.Option(help="Connections that are kept.")] = 32,
    requests: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bid requests of yours, one on a line.")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Not as tests: bids reserve budget. Asks first.")
    ] = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send a running bidder requests at a steady rate, and measure its answers.

    They are marked as tests, so nothing is reserved, counted or paid; all
    else is as always. Waits count from the moment a request was due; lag is
    how much of them was this program's own delay. It shares the machine with
    the bidder unless --url leads elsewhere. Exits with 8 if a request failed,
    or no rate was found to hold.

    Example: adctl bench --rate 500 --rate 1000 --for 30s
    """
    settings = settings_of(ctx)
    url = url or _url(settings, exchange)
    plan = read_plan(url, rate or [1000], duration, connections, p99)
    bodies = read_bodies(requests) if requests else _own_bodies()
    if real:
        confirm(f"Send real bid requests to {url}? Bids reserve budget until they expire.", yes=yes)
    else:
        bodies = as_tests(bodies)
    with stopping_on_signals() as stop:
        loads = _find(plan, bodies, stop) if find else _measure_all(plan, bodies, stop)
    render_rows([load.fields() for load in loads], output, _columns(output, loads))
    if stop.is_set():
        raise typer.Exit(_INTERRUPTED)
    _judge(loads, plan, find=find)


def _url(settings: Settings, exchange: str) -> str:
    if exchange not in settings.exchanges:
        known = ", ".join(settings.exchanges)
        raise NotFoundError(f"no exchange is called {exchange}; there are {known}")
    host = settings.bidder.host
    where = "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104 - compared
    path = "/bid-request" if exchange == "default" else f"/bid-request/{exchange}"
    return f"http://{where}:{settings.bidder.port}{path}"


def _own_bodies() -> list[bytes]:
    chance = random.Random(1)  # noqa: S311 - the same requests in every run
    maker = RequestMaker(make_people(200, chance), chance)
    offers = (maker.make() for _ in range(2 * _REQUESTS))
    return [offer.body for offer in offers if offer.well_formed][:_REQUESTS]


def _measure_all(plan: LoadPlan, bodies: list[bytes], stop: threading.Event) -> list[Load]:
    rates = (per_sec for per_sec in plan.rates if not stop.is_set())
    return [_measure(plan, bodies, stop, per_sec) for per_sec in rates]


def _find(plan: LoadPlan, bodies: list[bytes], stop: threading.Event) -> list[Load]:
    loads = []
    for load in find_limit(
        lambda rate: _measure(plan, bodies, stop, rate), plan.p99_ms, plan.rates[0]
    ):
        loads.append(load)
        if stop.is_set():
            break
        held = "holds" if load.holds(plan.p99_ms) else "does not hold"
        say(f"{load.asked_per_sec:,.0f} a second: p99 {load.p99_ms:.1f} ms, {held}")
    return loads


def _measure(plan: LoadPlan, bodies: list[bytes], stop: threading.Event, per_sec: float) -> Load:
    with progress(f"{per_sec:,.0f} requests a second", round(per_sec * plan.for_sec)) as advance:
        return post_steadily(
            plan.endpoint, bodies, per_sec, plan.for_sec, plan.connections, _going(stop, advance)
        )


def _going(stop: threading.Event, advance: Callable[[int], None]) -> Callable[[int], bool]:
    def going(sent: int) -> bool:
        advance(sent)
        return not stop.is_set()

    return going


def _columns(output: Output, loads: list[Load]) -> tuple[str, ...] | None:
    if output is not Output.TABLE:
        return None
    return (*_COLUMNS, "why") if any(load.failed for load in loads) else _COLUMNS


def _judge(loads: list[Load], plan: LoadPlan, *, find: bool) -> None:
    if not find:
        if failed := sum(load.failed for load in loads):
            raise UnhealthyError(f"{failed} requests failed")
        return
    held = [load.asked_per_sec for load in loads if load.holds(plan.p99_ms)]
    if not held:
        raise UnhealthyError(f"no rate was found at which p99 is {plan.p99_ms} ms or less")
    say(f"The highest rate with a p99 of at most {plan.p99_ms} ms is {max(held):,.0f} a second.")
