"""Bid requests, from what HTTP brings to what it takes back, with as little between as can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from adctl.delivery import reasons
from adctl.openrtb import MalformedRequestError, NoBidResponse, decode_request, encode_response
from daemons.bidder import transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adctl.decisions import Decision
    from adctl.delivery.bidding import Bidder
    from adctl.openrtb import BidRequest
    from daemons.bidder.doors import Door
    from daemons.bidder.metrics import BidderMetrics

log = structlog.get_logger()

_OK = "200 OK"
_NO_CONTENT = "204 No Content"
_BAD_REQUEST = "400 Bad Request"
_UNSUPPORTED = "415 Unsupported Media Type"

_OPENRTB = ("x-openrtb-version", transport.VERSION)
_JSON = ("content-type", "application/json")
_GZIP = ("content-encoding", "gzip")


class Reply(msgspec.Struct, frozen=True):
    """What HTTP takes back."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes = b""


class DecisionRecorder(Protocol):
    """Where decisions are recorded."""

    def record(self, decision: Decision) -> None:
        """Take a decision; never wait, never raise."""


class BidRequests:
    """Answers what is posted to ``/bid-request`` and ``/bid-request/EXCHANGE``: OpenRTB 2.6 JSON.

    ``takes`` says whether a decision will be recorded by somebody else, with more in it. ``pace``
    is called between the steps, as Bidder calls it.
    """

    def __init__(
        self,
        bidder: Bidder,
        decisions: DecisionRecorder,
        metrics: BidderMetrics,
        max_body_bytes: int,
        takes: Callable[[BidRequest, Decision], bool],
        pace: Callable[[], None],
    ) -> None:
        self._takes = takes
        self._pace = pace
        self._bidder = bidder
        self._decisions = decisions
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    def reply(self, environ: Mapping[str, Any], exchange: str, door: Door) -> Reply:
        """Answer 200 with a bid, 204 without one, 400 (empty) to what is not a bid request.

        Never raises: an exchange must not see a fault of ours as an error, or it would throttle
        the endpoint.
        """
        try:
            return self._reply(environ, exchange, door)
        except Exception:
            log.exception("bid failed")
            self._metrics.failures.inc()
            return Reply(_NO_CONTENT, [_OPENRTB])

    def _reply(self, environ: Mapping[str, Any], exchange: str, door: Door) -> Reply:
        began = time.perf_counter()
        if not transport.is_json(environ):
            return self._refused(_UNSUPPORTED, reasons.MALFORMED)
        if not transport.is_understood(environ):
            return self._refused(_NO_CONTENT, reasons.VERSION)
        if door.limit is not None and not door.limit.admits():
            return self._refused(_NO_CONTENT, reasons.RATE_LIMIT)
        self._pace()
        try:
            request = decode_request(transport.read_body(environ, self._max_body_bytes))
        except MalformedRequestError:
            return self._refused(_BAD_REQUEST, reasons.MALFORMED)
        self._pace()
        answer = self._bidder.answer(request, exchange)
        response, decision = answer.response, answer.decision
        bids = 0
        if response is not None:
            reply = _sent(environ, encode_response(response))
            bids = len(response.seatbid[0].bid)
        elif door.tells_reason:
            nbr = reasons.NBR.get(decision.reason, 0)
            reply = _sent(environ, encode_response(NoBidResponse(request.id, [], nbr)))
        else:
            reply = Reply(_NO_CONTENT, [_OPENRTB])
        self._pace()
        if not self._takes(request, decision):
            self._decisions.record(decision)
        self._metrics.count_answer(decision, bids, time.perf_counter() - began)
        self._pace()
        return reply

    def _refused(self, status: str, reason: str) -> Reply:
        self._metrics.count(reason)
        headers = (
            [_OPENRTB] if status == _NO_CONTENT else [_OPENRTB, _JSON, ("content-length", "0")]
        )
        return Reply(status, headers)


def _sent(environ: Mapping[str, Any], body: bytes) -> Reply:
    headers = [_OPENRTB, _JSON]
    if transport.is_worth_compressing(body) and transport.takes_gzip(environ):
        body = transport.compressed(body)
        headers.append(_GZIP)
    headers.append(("content-length", str(len(body))))
    return Reply(_OK, headers, body)
