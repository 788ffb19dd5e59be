"""The tracker's HTTP face: what browsers and exchanges tell us happened."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import falcon
import structlog

from adctl.delivery.conversion import NO_ORDER, Order, read_order
from adctl.delivery.macros import ToldMacros
from adctl.errors import (
    AdctlError,
    ExpiredTokenError,
    Fault,
    ForgedTokenError,
    FutureTokenError,
    NotFoundError,
    StoreUnavailableError,
)
from adctl.models import EventKind
from daemons.lifecycle import add_health_routes
from daemons.tracker.origins import AnyOrigin
from daemons.tracker.parameters import addressed, read
from daemons.tracker.posted import PostedEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from falcon import Request, Response
    from prometheus_client import CollectorRegistry

    from adctl.delivery.details import LeftOut
    from adctl.delivery.tokens import BidToken
    from adctl.delivery.tracking import TrackedEvent
    from daemons.tracker.metrics import TrackerMetrics
    from daemons.tracker.verifying import Verifier

log = structlog.get_logger()

# A transparent GIF of one pixel.
PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_TRACKED = frozenset({EventKind.IMPRESSION, EventKind.CLICK, EventKind.CONVERSION})
_NOTICES = frozenset({EventKind.WIN, EventKind.BILL, EventKind.LOSS})
# Why a token does not count; each is answered 403.
_REFUSALS: dict[type[AdctlError], str] = {
    ForgedTokenError: "forged",
    ExpiredTokenError: "expired",
    FutureTokenError: "future",
}
# What a conversion's URL calls what it may be refused for.
_PARAMETERS = {
    "order_id": "o",
    "user_id": "u",
    "advertiser_key": "k",
}


class TakeEvents(Protocol):
    """Where verified events go."""

    def take(self, tracked: TrackedEvent) -> str:
        """Keep an event for good; return what became of it. Raises StoreUnavailableError if not."""

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        """Keep events; return what became of each, or what take would raise, in its place."""


class FindLandingPage(Protocol):
    """Where a creative leads."""

    def landing_url(self, campaign_id: int, creative_id: int) -> str:
        """Return the creative's own landing page. Raises NotFoundError, StoreUnavailableError."""


def _told(params: Mapping[str, str]) -> ToldMacros:
    """Return what was put for the macros of our URLs; see adctl/delivery/tracking_urls.py."""
    told = params.get
    return ToldMacros(
        price=told("p", ""),
        loss=told("r", ""),
        currency=told("c", ""),
        quantity=told("q", ""),
        min_to_win=told("m", ""),
        market_bid_ratio=told("b", ""),
        shown_at=told("s", ""),
    )


class Call(NamedTuple):
    """What a call tells, and whether it counts."""

    kind: EventKind
    params: Mapping[str, str]
    counts: bool = True


class Events:
    """``GET|HEAD|POST /track/{kind}`` and ``/notice/{kind}``."""

    def __init__(
        self,
        kinds: frozenset[EventKind],
        verifier: Verifier,
        sink: TakeEvents,
        landing_pages: FindLandingPage,
        metrics: TrackerMetrics,
    ) -> None:
        self._kinds = kinds
        self._verifier = verifier
        self._sink = sink
        self._landing_pages = landing_pages
        self._metrics = metrics

    def on_get(self, req: Request, resp: Response, kind: str, rest: str = "") -> None:
        """Take an event; answer as its caller expects: a pixel, a redirect, or nothing."""
        self._answer(self._call(req, kind, rest), resp)

    def on_head(self, req: Request, resp: Response, kind: str, rest: str = "") -> None:
        """Answer as to a GET, and take nothing: nobody has seen or done anything yet."""
        self._answer(self._call(req, kind, rest)._replace(counts=False), resp)

    def on_post(self, req: Request, resp: Response, kind: str, rest: str = "") -> None:
        """Take an event told by a server: 204."""
        self._take(self._call(req, kind, rest))
        resp.status = falcon.HTTP_204

    def _call(self, req: Request, kind: str, rest: str) -> Call:
        if kind in self._kinds and not rest:
            return Call(EventKind(kind), read(req.query_string, req.params))
        # Behind the word may only stand what somebody ran into it, or a slash.
        word, appended = addressed(f"{kind}/{rest}" if rest else kind)
        if word not in self._kinds or (appended and "=" not in appended):
            expected = ", ".join(sorted(self._kinds))
            raise falcon.HTTPNotFound(description=f"no event {kind[:32]!r}; expected {expected}")
        return Call(EventKind(word), read(f"{req.query_string}&{appended}", {}))

    def _answer(self, call: Call, resp: Response) -> None:
        if call.kind is EventKind.CLICK:
            resp.location = self._follow(call)
            resp.status = falcon.HTTP_302
        else:
            self._take(call)
        resp.set_header("Cache-Control", "no-store")
        if call.kind in _NOTICES:
            resp.status = falcon.HTTP_204
        elif call.kind is not EventKind.CLICK:
            resp.content_type = "image/gif"
            resp.data = PIXEL

    def _follow(self, call: Call) -> str:
        """Take a click; return where it leads.

        A genuine one leads there also when it comes too late to count, or when the hosts' clocks
        differ too much: there is a person who has clicked.
        """
        try:
            token, counts = self._take_tracked(call), call.counts
        except (ExpiredTokenError, FutureTokenError):
            token, counts = self._verifier.clicked(call.params["t"]), False
        url = self._landing_pages.landing_url(token.campaign_id, token.creative_id)
        return self._verifier.landing_url(url, token, counted=counts)

    def _take(self, call: Call) -> None:
        if call.kind is EventKind.CONVERSION:
            self._take_conversion(call)
        else:
            self._take_tracked(call)

    def _take_tracked(
        self, call: Call, order: Order = NO_ORDER, left_out: Sequence[LeftOut] = ()
    ) -> BidToken:
        """Keep an event; return the bid it is of. Raises what Verifier.tracked does."""
        text = call.params.get("t", "")
        try:
            tracked = self._verifier.tracked(text, call.kind, _told(call.params), order)
        except tuple(_REFUSALS) as exc:
            self._reject(call, _REFUSALS[type(exc)])
            raise
        self._keep(call, tracked.event, [*left_out, *tracked.left_out])
        return tracked.token

    def _take_conversion(self, call: Call) -> None:
        order_id, value, currency, key, user_id = (
            call.params.get(name, "") for name in ("o", "v", "vc", "k", "u")
        )
        order, left_out = read_order(order_id, value, currency, self._verifier.rates)
        if not key:
            self._take_tracked(call, order, left_out)
            return
        claimed, faults = self._verifier.claimed(key, user_id, order_id, order)
        if claimed is None:
            self._reject(call, "faulty")
            raise falcon.HTTPBadRequest(description="\n".join(map(_by_parameter, faults)))
        self._keep(call, claimed, left_out)

    def _keep(self, call: Call, event: TrackedEvent, left_out: Sequence[LeftOut]) -> None:
        if call.counts:
            self._metrics.count(call.kind, self._sink.take(event))
            self._metrics.count_left_out(call.kind, left_out)

    def _reject(self, call: Call, reason: str) -> None:
        if call.counts:
            self._metrics.rejected.labels(call.kind, reason).inc()


def _by_parameter(fault: Fault) -> str:
    """Return a fault as the one who called a URL knows it."""
    return str(Fault(_PARAMETERS[fault.field], fault.value, fault.expected))


def create_app(
    verifier: Verifier,
    sink: TakeEvents,
    landing_pages: FindLandingPage,
    metrics: TrackerMetrics,
    registry: CollectorRegistry,
    checks: Mapping[str, Callable[[], None]],
    give_way: Callable[[], None] = lambda: None,
    warn: Mapping[str, Callable[[], str]] | None = None,
) -> falcon.App[Request, Response]:
    """Return the tracker's WSGI application.

    ``give_way`` is called by a request that has much to do, for others to be answered; ``warn`` is
    daemons.lifecycle's.
    """
    app = falcon.App(middleware=[AnyOrigin(Events, PostedEvents)])
    app.add_error_handler(AdctlError, _explain)
    app.add_error_handler(Exception, _answer_later)
    app.set_error_serializer(_plain_text)
    for place, kinds in (("track", _TRACKED), ("notice", _NOTICES)):
        events = Events(kinds, verifier, sink, landing_pages, metrics)
        app.add_route(f"/{place}/{{kind}}", events)
        app.add_route(f"/{place}/{{kind}}/{{rest:path}}", events)
    posted = PostedEvents(verifier, sink, metrics, give_way)
    app.add_route("/events", posted)
    app.add_route("/events/", posted)
    add_health_routes(app, checks, registry, warn)
    return app


def _explain(_req: Request, _resp: Response, exc: AdctlError, _params: object) -> None:
    if isinstance(exc, NotFoundError):
        raise falcon.HTTPNotFound(description=str(exc))
    if isinstance(exc, StoreUnavailableError):
        raise falcon.HTTPServiceUnavailable(description="try again in a moment", retry_after=5)
    if type(exc) in _REFUSALS:
        raise falcon.HTTPForbidden(description=f"{_REFUSALS[type(exc)]}: {exc}")
    raise exc


def _answer_later(_req: Request, _resp: Response, exc: Exception, _params: object) -> None:
    log.error("event failed", exc_info=exc)
    raise falcon.HTTPServiceUnavailable(description="try again in a moment", retry_after=5)


def _plain_text(_req: Request, resp: Response, exc: falcon.HTTPError) -> None:
    resp.content_type = "text/plain; charset=utf-8"
    resp.text = f"{exc.description or exc.title}\n"
