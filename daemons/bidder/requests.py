"""Bid requests, from what HTTP brings to what it takes back, with as little between as can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from adctl.delivery import reasons
from adctl.delivery.steps import at_once
from adctl.openrtb import MalformedRequestError, NoBidResponse, decode_request, encode_response
from daemons.bidder import transport
from daemons.direct import Head, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adctl.decisions import Decision
    from adctl.delivery.bidding import Bidder
    from adctl.delivery.steps import Steps
    from adctl.openrtb import BidRequest
    from daemons.bidder.doors import Door
    from daemons.bidder.metrics import BidderMetrics
    from daemons.bidder.transport import Envelope

log = structlog.get_logger()

_OPENRTB = ("x-openrtb-version", transport.VERSION)
_JSON = ("content-type", "application/json")
_ANSWERED = Head("200 OK", _OPENRTB, _JSON)
_ANSWERED_IN_GZIP = Head("200 OK", _OPENRTB, _JSON, ("content-encoding", "gzip"))
_NO_CONTENT = Head("204 No Content", _OPENRTB)
_BAD_REQUEST = Head("400 Bad Request", _OPENRTB, _JSON)
_UNSUPPORTED = Head("415 Unsupported Media Type", _OPENRTB, _JSON)


class DecisionRecorder(Protocol):
    """Where decisions are recorded."""

    def record(self, decision: Decision) -> None:
        """Take a decision; never wait, never raise."""


class BidRequests:
    """Answers what is posted to ``/bid-request`` and ``/bid-request/EXCHANGE``: OpenRTB 2.6 JSON.

    ``takes`` says whether a decision will be recorded by somebody else, with more in it.
    """

    def __init__(
        self,
        bidder: Bidder,
        decisions: DecisionRecorder,
        metrics: BidderMetrics,
        max_body_bytes: int,
        takes: Callable[[BidRequest, Decision], bool],
    ) -> None:
        self._takes = takes
        self._bidder = bidder
        self._decisions = decisions
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    def reply(self, environ: Mapping[str, Any], exchange: str, door: Door) -> Reply:
        """Answer 200 with a bid, 204 without one, 400 (empty) to what is not a bid request.

        Never raises: an exchange must not see a fault of ours as an error, or it would throttle
        the endpoint.
        """
        envelope = transport.envelope_of(environ)
        body = transport.received(environ, self._max_body_bytes)
        return at_once(self.steps(envelope, exchange, door, body), self._bidder.ledger)

    def steps(
        self, envelope: Envelope, exchange: str, door: Door, body: bytes | None
    ) -> Steps[Reply]:
        """Take the steps to what reply returns. ``body`` is None if it was too large to be read."""
        try:
            reply = yield from self._steps(envelope, exchange, door, body)
        except Exception:
            log.exception("bid failed")
            self._metrics.failures.inc()
            return Reply(_NO_CONTENT)
        return reply

    def _steps(
        self, envelope: Envelope, exchange: str, door: Door, body: bytes | None
    ) -> Steps[Reply]:
        began = time.perf_counter()
        if not envelope.is_json:
            return self._refused(_UNSUPPORTED, reasons.MALFORMED)
        if not envelope.is_understood:
            return self._refused(_NO_CONTENT, reasons.VERSION)
        if door.limit is not None and not door.limit.admits():
            return self._refused(_NO_CONTENT, reasons.RATE_LIMIT)
        try:
            request = decode_request(
                transport.unfolded(body, envelope.encoding, self._max_body_bytes)
            )
        except MalformedRequestError:
            return self._refused(_BAD_REQUEST, reasons.MALFORMED)
        if request.unread is not None:
            self._metrics.count_attributes(request.unread.attributes)
        yield None
        answer = yield from self._bidder.steps(request, exchange)
        response, decision = answer.response, answer.decision
        bids = 0
        if response is not None:
            reply = _answered(envelope, encode_response(response))
            bids = len(response.seatbid[0].bid)
        elif door.tells_reason:
            nbr = reasons.NBR.get(decision.reason, 0)
            reply = _answered(envelope, encode_response(NoBidResponse(request.id, [], nbr)))
        else:
            reply = Reply(_NO_CONTENT)
        yield None
        if not self._takes(request, decision):
            self._decisions.record(decision)
        self._metrics.count_answer(decision, bids, time.perf_counter() - began)
        yield None
        return reply

    def _refused(self, head: Head, reason: str) -> Reply:
        self._metrics.count(reason)
        return Reply(head)


def _answered(envelope: Envelope, body: bytes) -> Reply:
    if envelope.takes_gzip and transport.is_worth_compressing(body):
        return Reply(_ANSWERED_IN_GZIP, transport.compressed(body))
    return Reply(_ANSWERED, body)
