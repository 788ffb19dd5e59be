"""The bidder's HTTP face: bid requests in, bids or silence out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import falcon
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from adctl.delivery import reasons
from adctl.openrtb import MalformedRequestError, NoBidResponse, decode_request, encode_response
from daemons.bidder import transport
from daemons.bidder.campaign_outcomes import CampaignOutcomes
from daemons.bidder.doors import DEFAULT_EXCHANGE, OPEN_DOORS, Door
from daemons.lifecycle import add_health_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falcon import Request, Response

    from adctl.decisions import Decision
    from adctl.delivery.bidding import Bidder
    from adctl.openrtb import BidRequest

log = structlog.get_logger()

_SECONDS_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)


class BidderMetrics:
    """What a bidder counts. Made once per worker, after it is known where metrics go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "adctl_bid_requests_total",
            "Bid requests by outcome: bid, the reason there was none, or test whatever its answer.",
            ["outcome"],
            registry=registry,
        )
        self.bids = Counter("adctl_bids_total", "Bids, several per request.", registry=registry)
        self.seconds = Histogram(
            "adctl_bid_seconds",
            "Seconds from a request's decoding to its answer.",
            buckets=_SECONDS_BUCKETS,
            registry=registry,
        )
        self.failures = Counter(
            "adctl_bid_failures_total",
            "Requests answered with no bid because of a fault of ours.",
            registry=registry,
        )
        self.dropped_decisions = Counter(
            "adctl_decisions_dropped_total",
            "Decision records Kafka did not take in time.",
            registry=registry,
        )
        self.outcomes = CampaignOutcomes(registry)
        self.campaigns = Gauge(
            "adctl_catalog_campaigns",
            "Campaigns in the catalog.",
            registry=registry,
            multiprocess_mode="livemax",
        )


class DecisionRecorder(Protocol):
    """Where decisions are recorded."""

    def record(self, decision: Decision) -> None:
        """Take a decision; never wait, never raise."""


class BidRequests:
    """``POST /bid-request`` and ``/bid-request/EXCHANGE``: OpenRTB 2.6 JSON."""

    def __init__(
        self,
        bidder: Bidder,
        decisions: DecisionRecorder,
        metrics: BidderMetrics,
        max_body_bytes: int,
        doors: Mapping[str, Door],
        takes: Callable[[BidRequest, Decision], bool],
    ) -> None:
        self._takes = takes
        self._doors = doors
        self._bidder = bidder
        self._decisions = decisions
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    def on_post(self, req: Request, resp: Response, exchange: str = DEFAULT_EXCHANGE) -> None:
        """Answer 200 with a bid, 204 without one, 400 (empty) to what is not a bid request.

        An exchange that is not configured gets 404.
        """
        began = time.perf_counter()
        door = self._doors.get(exchange)
        if door is None:
            raise falcon.HTTPNotFound
        resp.set_header("x-openrtb-version", transport.VERSION)
        if not transport.is_json(req.env):
            self._refuse(resp, falcon.HTTP_415, reasons.MALFORMED)
            return
        if not transport.is_understood(req.env):
            self._refuse(resp, falcon.HTTP_204, reasons.VERSION)
            return
        if door.limit is not None and not door.limit.admits():
            self._refuse(resp, falcon.HTTP_204, reasons.RATE_LIMIT)
            return
        try:
            request = decode_request(transport.read_body(req, self._max_body_bytes))
        except MalformedRequestError:
            self._refuse(resp, falcon.HTTP_400, reasons.MALFORMED)
            return
        answer = self._bidder.answer(request, exchange)
        if answer.response is not None:
            self._send(req, resp, encode_response(answer.response))
            if not answer.decision.test:
                self._metrics.bids.inc(len(answer.response.seatbid[0].bid))
        elif door.tells_reason:
            nbr = reasons.NBR.get(answer.decision.reason, 0)
            self._send(req, resp, encode_response(NoBidResponse(request.id, [], nbr)))
        else:
            resp.status = falcon.HTTP_204
        if not self._takes(request, answer.decision):
            self._decisions.record(answer.decision)
        self._metrics.outcomes.add(answer.decision)
        self._metrics.requests.labels(_outcome(answer.decision)).inc()
        self._metrics.seconds.observe(time.perf_counter() - began)

    def _refuse(self, resp: Response, status: str, reason: str) -> None:
        self._metrics.requests.labels(reason).inc()
        resp.status = status

    def _send(self, req: Request, resp: Response, body: bytes) -> None:
        if transport.is_worth_compressing(body) and transport.takes_gzip(req.env):
            body = transport.compressed(body)
            resp.set_header("Content-Encoding", "gzip")
        resp.data = body


def _outcome(decision: Decision) -> str:
    # Whatever a test is answered, it is no traffic.
    return "test" if decision.test else decision.reason or "bid"


def create_app(
    bidder: Bidder,
    decisions: DecisionRecorder,
    metrics: BidderMetrics,
    registry: CollectorRegistry,
    checks: Mapping[str, Callable[[], None]],
    max_body_bytes: int,
    doors: Mapping[str, Door] = OPEN_DOORS,
    takes: Callable[[BidRequest, Decision], bool] = lambda _request, _decision: False,
) -> falcon.App[Request, Response]:
    """Return the bidder's WSGI application.

    ``takes`` says whether a decision will be recorded by somebody else, with more in it.
    """

    def no_bid_on_fault(_req: Request, resp: Response, exc: Exception, _params: object) -> None:
        # An exchange must never see a fault of ours as an error: it would throttle the endpoint.
        log.error("bid failed", exc_info=exc)
        metrics.failures.inc()
        resp.status = falcon.HTTP_204

    app = falcon.App()
    # The exchange reads no error documents, and 400 must be empty (OpenRTB 2.6, 2.1).
    app.set_error_serializer(lambda _req, _resp, _exc: None)
    app.add_error_handler(Exception, no_bid_on_fault)
    requests = BidRequests(bidder, decisions, metrics, max_body_bytes, doors, takes)
    app.add_route("/bid-request", requests)
    app.add_route("/bid-request/{exchange}", requests)
    add_health_routes(app, checks, registry)
    return app
