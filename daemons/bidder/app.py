"""The bidder's HTTP face: bid requests in, bids or silence out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import falcon
import structlog

from daemons.bidder import transport
from daemons.bidder.doors import DEFAULT_EXCHANGE, OPEN_DOORS, Door
from daemons.bidder.requests import BidRequests, DecisionRecorder
from daemons.lifecycle import add_health_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse

    from falcon import Request, Response
    from prometheus_client import CollectorRegistry

    from adctl.decisions import Decision
    from adctl.delivery.bidding import Bidder
    from adctl.openrtb import BidRequest
    from daemons.bidder.metrics import BidderMetrics
    from daemons.direct import Route

log = structlog.get_logger()

_PATH = "/bid-request"


class NoBidRequests:
    """What Falcon knows of ``/bid-request``: which methods it has.

    Those that are posted to an exchange we know never come this far.
    """

    def on_post(self, _req: Request, _resp: Response, exchange: str = DEFAULT_EXCHANGE) -> None:
        """Answer 404: no such exchange is configured."""
        del exchange
        raise falcon.HTTPNotFound


class BidderApp:
    """A WSGI application: bid requests go straight to their answer, the rest to Falcon.

    Falcon's routing, and its objects for a request and a response, take as long as matching a
    request with ten thousand campaigns. Where a header has come before, ``route`` spares even WSGI.
    """

    def __init__(
        self,
        requests: BidRequests,
        doors: Mapping[str, Door],
        metrics: BidderMetrics,
        others: falcon.App[Request, Response],
    ) -> None:
        self._requests = requests
        self._metrics = metrics
        self._others = others
        self._doors = {f"{_PATH}/{name}": (name, door) for name, door in doors.items()}
        if DEFAULT_EXCHANGE in doors:
            self._doors[_PATH] = DEFAULT_EXCHANGE, doors[DEFAULT_EXCHANGE]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        found = self._doors.get(environ["PATH_INFO"])
        if found is None or environ["REQUEST_METHOD"] != "POST":
            # Somebody may ask for the metrics.
            self._metrics.publish(now=True)
            return self._others(environ, start_response)
        reply = self._requests.reply(environ, *found)
        start_response(reply.head.status, reply.head.headers(len(reply.body)))
        return (reply.body,) if reply.body else ()

    def route(self, header: Mapping[str, Any]) -> Route | None:
        """Return what answers bid requests with this header; None where it is not for them."""
        found = self._doors.get(header["PATH_INFO"])
        if found is None or header["REQUEST_METHOD"] != "POST":
            return None
        return partial(self._requests.steps, transport.envelope_of(header), *found)


def create_app(
    bidder: Bidder,
    decisions: DecisionRecorder,
    metrics: BidderMetrics,
    registry: CollectorRegistry,
    checks: Mapping[str, Callable[[], None]],
    max_body_bytes: int,
    doors: Mapping[str, Door] = OPEN_DOORS,
    takes: Callable[[BidRequest, Decision], bool] = lambda _request, _decision: False,
) -> BidderApp:
    """Return the bidder's WSGI application.

    ``takes`` says whether a decision will be recorded by somebody else, with more in it.
    """

    def no_bid_on_fault(_req: Request, resp: Response, exc: Exception, _params: object) -> None:
        log.error("request failed", exc_info=exc)
        metrics.failures.inc()
        resp.status = falcon.HTTP_204

    app = falcon.App()
    # The exchange reads no error documents, and 400 must be empty (OpenRTB 2.6, 2.1).
    app.set_error_serializer(lambda _req, _resp, _exc: None)
    app.add_error_handler(Exception, no_bid_on_fault)
    app.add_route(_PATH, NoBidRequests())
    app.add_route(f"{_PATH}/{{exchange}}", NoBidRequests())
    add_health_routes(app, checks, registry)
    requests = BidRequests(bidder, decisions, metrics, max_body_bytes, takes)
    return BidderApp(requests, doors, metrics, app)
