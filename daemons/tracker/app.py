"""The tracker's HTTP face: what browsers and exchanges tell us happened."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Protocol

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
from daemons.tracker.posted import PostedEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from falcon import Request, Response
    from prometheus_client import CollectorRegistry

    from adctl.delivery.tokens import BidToken
    from adctl.delivery.tracking import TrackedEvent
    from daemons.tracker.metrics import TrackerMetrics
    from daemons.tracker.verifying import Verifier

log = structlog.get_logger()

# A transparent GIF of one pixel.
PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_TRACKED = frozenset({EventKind.IMPRESSION, EventKind.CLICK, EventKind.CONVERSION})
_NOTICES = frozenset({EventKind.WIN, EventKind.BILL, EventKind.LOSS})
_REFUSALS = {ForgedTokenError: "forged", ExpiredTokenError: "expired", FutureTokenError: "future"}
# What a conversion's URL calls what is told of it.
_PARAMETERS = {
    "order_id": "o",
    "value": "v",
    "currency": "vc",
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


def _first_of_each(params: Mapping[str, Any]) -> Mapping[str, str]:
    """Return parameters with one value each; of one that is repeated, the first was signed for."""
    if list not in map(type, params.values()):
        return params
    return {name: one[0] if isinstance(one, list) else one for name, one in params.items()}


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


class Events:
    """``GET|POST /track/{kind}`` and ``/notice/{kind}``."""

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

    def on_get(self, req: Request, resp: Response, kind: str) -> None:
        """Take an event; answer as its caller expects: a pixel, a redirect, or nothing."""
        event_kind = self._known(kind)
        token = self._take(req, event_kind)
        resp.set_header("Cache-Control", "no-store")
        if event_kind is EventKind.CLICK and token is not None:
            resp.status = falcon.HTTP_302
            resp.location = self._landing_page(token)
        elif event_kind in _NOTICES:
            resp.status = falcon.HTTP_204
        else:
            resp.content_type = "image/gif"
            resp.data = PIXEL

    def on_post(self, req: Request, resp: Response, kind: str) -> None:
        """Take an event told by a server: 204."""
        self._take(req, self._known(kind))
        resp.status = falcon.HTTP_204

    def _known(self, kind: str) -> EventKind:
        if kind not in self._kinds:
            expected = ", ".join(sorted(self._kinds))
            raise falcon.HTTPNotFound(description=f"no event {kind[:32]!r}; expected {expected}")
        return EventKind(kind)

    def _take(self, req: Request, kind: EventKind) -> BidToken | None:
        """Keep the event; return the bid it is of, None for one that an advertiser claims."""
        if kind is EventKind.CONVERSION:
            return self._take_conversion(req)
        return self._take_tracked(req, kind, NO_ORDER)

    def _take_tracked(self, req: Request, kind: EventKind, order: Order) -> BidToken:
        try:
            params = _first_of_each(req.params)
            token, tracked = self._verifier.tracked(params.get("t", ""), kind, _told(params), order)
        except (ForgedTokenError, ExpiredTokenError, FutureTokenError) as exc:
            reason = _REFUSALS[type(exc)]
            self._metrics.rejected.labels(kind, reason).inc()
            raise falcon.HTTPForbidden(description=f"{reason}: {exc}") from exc
        self._metrics.count(kind, self._sink.take(tracked))
        return token

    def _take_conversion(self, req: Request) -> BidToken | None:
        params = _first_of_each(req.params)
        order_id, value, currency = (params.get(name, "") for name in ("o", "v", "vc"))
        if advertiser_key := params.get("k", ""):
            user_id = params.get("u", "")
            claimed, faults = self._verifier.claimed(
                advertiser_key, user_id, order_id, value, currency
            )
        else:
            claimed = None
            order, faults = read_order(order_id, value, currency, self._verifier.rates)
        if faults:
            self._metrics.rejected.labels(EventKind.CONVERSION, "faulty").inc()
            raise falcon.HTTPBadRequest(description="\n".join(map(_by_parameter, faults)))
        if claimed is None:
            return self._take_tracked(req, EventKind.CONVERSION, order)
        self._metrics.count(EventKind.CONVERSION, self._sink.take(claimed))
        return None

    def _landing_page(self, token: BidToken) -> str:
        url = self._landing_pages.landing_url(token.campaign_id, token.creative_id)
        return self._verifier.landing_url(url, token)


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
) -> falcon.App[Request, Response]:
    """Return the tracker's WSGI application.

    ``give_way`` is called by a request that has much to do, for others to be answered.
    """
    app = falcon.App()
    app.add_error_handler(AdctlError, _explain)
    app.add_error_handler(Exception, _answer_later)
    app.set_error_serializer(_plain_text)
    app.add_route("/track/{kind}", Events(_TRACKED, verifier, sink, landing_pages, metrics))
    app.add_route("/events", PostedEvents(verifier, sink, metrics, give_way))
    app.add_route("/notice/{kind}", Events(_NOTICES, verifier, sink, landing_pages, metrics))
    add_health_routes(app, checks, registry)
    return app


def _explain(_req: Request, _resp: Response, exc: AdctlError, _params: object) -> None:
    if isinstance(exc, NotFoundError):
        raise falcon.HTTPNotFound(description=str(exc))
    if isinstance(exc, StoreUnavailableError):
        raise falcon.HTTPServiceUnavailable(description="try again in a moment", retry_after=5)
    raise exc


def _answer_later(_req: Request, _resp: Response, exc: Exception, _params: object) -> None:
    log.error("event failed", exc_info=exc)
    raise falcon.HTTPServiceUnavailable(description="try again in a moment", retry_after=5)


def _plain_text(_req: Request, resp: Response, exc: falcon.HTTPError) -> None:
    resp.content_type = "text/plain; charset=utf-8"
    resp.text = f"{exc.description or exc.title}\n"
