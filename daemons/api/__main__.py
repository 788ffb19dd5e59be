"""``python -m daemons.api``: campaigns over HTTP, and the catalog for bidders."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from adctl.control.plane import open_plane
from daemons.api.app import create_app
from daemons.lifecycle import main_settings, run_threaded, stop_on_signals


def main() -> None:
    """Run the api until SIGTERM; requests that were accepted are answered."""
    settings = main_settings("api")
    stop = stop_on_signals()
    section = settings.api
    with open_plane(settings) as plane:
        app = create_app(plane, CollectorRegistry())
        run_threaded(app, section.host, section.port, section.threads, stop)


if __name__ == "__main__":
    main()
