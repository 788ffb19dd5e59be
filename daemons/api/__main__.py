"""``python -m daemons.api``: campaigns over HTTP, and the catalog for bidders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.control.plane import open_plane
from adctl.stores.endpoints import resolve_postgres
from adctl.stores.schema_version import refuse_newer_schema
from daemons.api.app import create_app
from daemons.lifecycle import run_daemon, run_threaded, stop_on_signals

if TYPE_CHECKING:
    from adctl.config import Settings


def main(settings: Settings) -> None:
    """Run the api until SIGTERM; requests that were accepted are answered."""
    stop = stop_on_signals()
    section = settings.api
    refuse_newer_schema(resolve_postgres(settings))
    with open_plane(settings) as plane:
        app = create_app(plane, CollectorRegistry(), section)
        run_threaded(app, section, section.threads, settings.connections, stop)


if __name__ == "__main__":
    run_daemon("api", main)
