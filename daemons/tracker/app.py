"""The tracker's HTTP face: what browsers and exchanges tell us happened."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import TYPE_CHECKING, Protocol

import falcon
import structlog
from prometheus_client import CollectorRegistry, Counter

from adctl.config_keys import parse_price_keys
from adctl.delivery.landing_page import filled
from adctl.delivery.macros import ToldMacros
from adctl.delivery.price_macro import PriceKeys, price_reader
from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.delivery.tracking import BILLING_KIND, PURPOSE_OF, TrackedEvent, track
from adctl.errors import (
    AdctlError,
    ExpiredTokenError,
    ForgedTokenError,
    FutureTokenError,
    NotFoundError,
    StoreUnavailableError,
)
from adctl.models import EventKind
from daemons.lifecycle import add_health_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falcon import Request, Response

    from adctl.config_exchange import ExchangeSettings
    from adctl.delivery.currency import Rates
    from adctl.delivery.price_macro import ReadPrice

log = structlog.get_logger()

# A transparent GIF of one pixel.
PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_TRACKED = frozenset({EventKind.IMPRESSION, EventKind.CLICK, EventKind.CONVERSION})
_NOTICES = frozenset({EventKind.WIN, EventKind.BILL, EventKind.LOSS})
_REASONS: dict[type[AdctlError], str] = {
    ForgedTokenError: "forged",
    ExpiredTokenError: "expired",
    FutureTokenError: "future",
}


class TrackerMetrics:
    """What a tracker counts. Made once per worker, after it is known where metrics go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "adctl_events_total",
            "Events by kind and what became of them: taken, late, duplicate or spooled.",
            ["kind", "verdict"],
            registry=registry,
        )
        self.rejected = Counter(
            "adctl_events_rejected_total",
            "Calls refused with 403: forged, expired, or of a bid in the future.",
            ["kind", "reason"],
            registry=registry,
        )


class TakeEvent(Protocol):
    """Where verified events go."""

    def take(self, tracked: TrackedEvent) -> str:
        """Keep an event for good; return what became of it. Raises StoreUnavailableError if not."""


class FindLandingPage(Protocol):
    """Where a creative leads."""

    def landing_url(self, campaign_id: int, creative_id: int) -> str:
        """Return the creative's own landing page. Raises NotFoundError, StoreUnavailableError."""


class RatesSource(Protocol):
    """Where the exchange rates of the moment are; they may be others at every call."""

    @property
    def current(self) -> Rates:
        """Return the rates to convert by."""


class Verifier:
    """Turns a call's token into what it proves."""

    def __init__(
        self,
        signer: Signer,
        ttl_sec: int,
        exchanges: Mapping[str, ExchangeSettings],
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rates: RatesSource | None = None,
    ) -> None:
        self._rates = rates
        self._signer = signer
        self._ttl_sec = ttl_sec
        self._exchanges = {
            name: (BILLING_KIND[exchange.billing_event], _price_reader(exchange))
            for name, exchange in exchanges.items()
        }
        self._clock_ms = clock_ms

    def tracked(self, req: Request, kind: EventKind) -> tuple[BidToken, TrackedEvent]:
        """Return the bid a call speaks of, and what its event does.

        Raises ForgedTokenError, ExpiredTokenError or FutureTokenError.
        """
        text = _param(req, "t")
        now_ms = self._clock_ms()
        token = self._signer.verify(text, PURPOSE_OF[kind], now_ms, self._ttl_sec)
        billing_kind, read_price = self._exchanges.get(token.exchange, self._exchanges["default"])
        rates = self._rates.current if self._rates else None
        return token, track(token, kind, billing_kind, _told(req), now_ms, read_price, rates)

    def landing_url(self, url: str, token: BidToken) -> str:
        """Return a creative's landing page with its macros filled in for this bid."""
        return filled(
            url, token, lambda: self._signer.sign(token)[Purpose.CONVERSION], self._clock_ms()
        )


def _price_reader(exchange: ExchangeSettings) -> ReadPrice:
    keys = exchange.price_keys.get_secret_value()
    return price_reader(
        exchange.price_encoding, PriceKeys(*parse_price_keys(keys)) if keys else None
    )


def _told(req: Request) -> ToldMacros:
    """Return what was put for the macros of our URLs; see adctl/delivery/tracking_urls.py."""
    return ToldMacros(
        price=_param(req, "p"),
        loss=_param(req, "r"),
        currency=_param(req, "c"),
        quantity=_param(req, "q"),
        min_to_win=_param(req, "m"),
        market_bid_ratio=_param(req, "b"),
        shown_at=_param(req, "s"),
    )


def _param(req: Request, name: str) -> str:
    value = req.params.get(name, "")
    # A repeated parameter is a list; the first is what was signed for.
    return value[0] if isinstance(value, list) else value


class Events:
    """``GET|POST /track/{kind}`` and ``/notice/{kind}``."""

    def __init__(
        self,
        kinds: frozenset[EventKind],
        verifier: Verifier,
        sink: TakeEvent,
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
        if event_kind is EventKind.CLICK:
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

    def _take(self, req: Request, kind: EventKind) -> BidToken:
        try:
            token, tracked = self._verifier.tracked(req, kind)
        except tuple(_REASONS) as exc:
            reason = _REASONS[type(exc)]
            self._metrics.rejected.labels(kind, reason).inc()
            raise falcon.HTTPForbidden(description=f"{reason}: {exc}") from exc
        self._metrics.events.labels(kind, self._sink.take(tracked)).inc()
        return token

    def _landing_page(self, token: BidToken) -> str:
        url = self._landing_pages.landing_url(token.campaign_id, token.creative_id)
        return self._verifier.landing_url(url, token)


def create_app(
    verifier: Verifier,
    sink: TakeEvent,
    landing_pages: FindLandingPage,
    metrics: TrackerMetrics,
    registry: CollectorRegistry,
    checks: Mapping[str, Callable[[], None]],
) -> falcon.App[Request, Response]:
    """Return the tracker's WSGI application."""
    app = falcon.App()
    app.add_error_handler(AdctlError, _explain)
    app.add_error_handler(Exception, _answer_later)
    app.set_error_serializer(_plain_text)
    app.add_route("/track/{kind}", Events(_TRACKED, verifier, sink, landing_pages, metrics))
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
