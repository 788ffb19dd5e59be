"""The api's HTTP face: the control plane, the catalog, health and metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import falcon
import msgspec
from falcon.routing import IntConverter
from prometheus_client import Histogram

from adctl.control.catalog import check_postgres
from daemons.api.callers import Callers
from daemons.api.catalog import add_catalog_routes
from daemons.api.openapi import openapi_document
from daemons.api.problems import add_error_handlers
from daemons.api.resources import add_control_routes
from daemons.lifecycle import add_health_routes

if TYPE_CHECKING:
    from falcon import Request, Response
    from prometheus_client import CollectorRegistry

    from adctl.config_daemon import ApiSettings
    from adctl.control.plane import ControlPlane


class Timing:
    """Measures every request, by its route's template rather than its path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "adctl_api_request_seconds",
            "Seconds a request took, by method, route and status.",
            ["method", "route", "status"],
            registry=registry,
        )

    def process_request(self, req: Request, _resp: Response) -> None:
        """Note the time."""
        req.context.began = time.perf_counter()

    def process_response(
        self, req: Request, resp: Response, _resource: object, _succeeded: bool
    ) -> None:
        """Observe the time taken."""
        # Any word can come as a method; only known ones may become a series.
        method = req.method if req.method in falcon.COMBINED_METHODS else "other"
        labels = (method, req.uri_template or "none", str(resp.status_code))
        self._seconds.labels(*labels).observe(time.perf_counter() - req.context.began)


class Digits(IntConverter):
    """A number in a path: ASCII's digits, where ``int`` also takes other scripts' and ``1_0``."""

    def convert(self, value: str) -> int | None:
        """Return the number; None if it is none, or not within bounds."""
        return super().convert(value) if value.isascii() and value.isdecimal() else None


class OpenApi:
    """``GET /openapi.json``."""

    def __init__(self) -> None:
        self._document = msgspec.json.encode(openapi_document())

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with the document."""
        resp.data = self._document


def create_app(
    plane: ControlPlane, registry: CollectorRegistry, settings: ApiSettings
) -> falcon.App[Request, Response]:
    """Return the app on ``plane``. Safe to serve from several threads."""
    app = falcon.App(middleware=Timing(registry))
    app.add_middleware(Callers(settings))
    app.router_options.converters["int"] = Digits
    add_error_handlers(app)
    add_control_routes(app, plane)
    add_catalog_routes(app, plane)
    checks = {"postgres": lambda: check_postgres(plane), "redis": plane.catalog.ping}
    add_health_routes(app, checks, registry)
    app.add_route("/openapi.json", OpenApi())
    return app
