"""``adctl up``: the whole product on this machine."""

import threading

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from adctl.cli.context import invocation_of
from adctl.cli.live import LiveView, process_table, stopping_on_signals
from adctl.cli.render import say
from adctl.config import Settings
from adctl.control.daemon_process import daemon_environment
from adctl.control.supervision import Supervisor

app = typer.Typer()

_TEND_EVERY_SEC = 0.2


@app.command()
def up(ctx: typer.Context) -> None:
    """Run the stores and every daemon here until Ctrl-C; bring back what dies.

    Stores with a URL in the configuration are used, all others are started
    and stopped here; their data stays. Exits with 6 if it runs already.

    Example: adctl up
    """
    invocation = invocation_of(ctx)
    view = LiveView()
    supervisor = Supervisor(
        invocation.settings, daemon_environment(invocation.config_path), view.notify
    )
    with stopping_on_signals() as stop, view.showing(lambda: _screen(supervisor, view, stop)):
        try:
            supervisor.start(stop)
            for line in _next_steps(supervisor.settings):
                view.notify(line)
            while not stop.wait(_TEND_EVERY_SEC):
                supervisor.tend()
        finally:
            stop.set()
            supervisor.stop()
    say(f"Everything has stopped. The data stays in {supervisor.settings.state_dir}.")


def _next_steps(settings: Settings) -> tuple[str, ...]:
    api = f"http://{settings.api.host}:{settings.api.port}"
    return (
        f"bid requests: POST http://{settings.bidder.host}:{settings.bidder.port}/bid-request",
        f"tracking: {settings.tracker.base_url}/track/…   campaigns: {api}/campaigns",
        "next, in another terminal: adctl advertiser create --help, adctl doctor, adctl demo",
    )


def _screen(supervisor: Supervisor, view: LiveView, stop: threading.Event) -> RenderableType:
    heading = "stopping …" if stop.is_set() else "Ctrl-C stops everything"
    return Group(
        Text.assemble(("adctl up", "bold"), f"   {supervisor.settings.state_dir}   ", heading),
        Text(),
        process_table(supervisor.statuses()),
        Text(),
        view.recent_lines(8),
    )
