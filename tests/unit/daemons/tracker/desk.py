"""A tracker's application without a server: what calls come to, with nothing behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry

from adctl.config_exchange import ExchangeSettings
from adctl.delivery.advertiser_keys import AdvertiserKeys
from adctl.delivery.place import Place
from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.errors import NotFoundError
from daemons.tracker.app import create_app
from daemons.tracker.metrics import TrackerMetrics
from daemons.tracker.verifying import Users, Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.tracking import TrackedEvent
    from adctl.errors import StoreUnavailableError

KEYS = {3: bytes(range(32))}
SIGNER = Signer(KEYS)
ADVERTISER_KEY = AdvertiserKeys(bytes(32)).key_of(1)
NOW_MS = 1_767_225_600_000
TTL_SEC = 3600
BID = BidToken(
    bid_id="ab" * 12,
    campaign_id=1,
    creative_id=2,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=NOW_MS - 5_000,
    bucket=7,
    user_hash="cd" * 16,
    advertiser_id=1,
    place=Place("news.example", "USA", "4"),
)
PAGE = "https://shop.example/?click={click_id}&c={campaign_id}"


class Desk:
    """An application for exchanges that bill by ``billing_event``, and what it took."""

    def __init__(self, billing_event: str = "impression") -> None:
        self.taken: list[TrackedEvent] = []
        self.registry = CollectorRegistry()
        self.metrics = TrackerMetrics(self.registry)
        exchanges = {"default": ExchangeSettings(billing_event=billing_event)}
        verifier = Verifier(
            KEYS, TTL_SEC, exchanges, clock_ms=lambda: NOW_MS, users=Users(bytes(32), 1)
        )
        app = create_app(verifier, self, self, self.metrics, self.registry, {})
        self.client = TestClient(app)

    def take(self, tracked: TrackedEvent) -> str:
        self.taken.append(tracked)
        return "taken"

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        return [self.take(tracked) for tracked in events]

    def landing_url(self, campaign_id: int, creative_id: int) -> str:
        if creative_id != BID.creative_id:
            raise NotFoundError(f"no creative {creative_id} of campaign {campaign_id}")
        return PAGE

    def call(self, path: str, query: str, method: str = "GET", **headers: str) -> Any:
        as_it_came = {"QUERY_STRING": query}
        return self.client.simulate_request(
            method, path, headers=headers or None, extras=as_it_came
        )

    def post(self, body: object) -> Any:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.client.simulate_post("/events", body=raw)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0

    def left_out(self, kind: str, detail: str, reason: str) -> float:
        name = "adctl_event_details_dropped_total"
        return self.counted(name, kind=kind, detail=detail, reason=reason)

    def everything_counted(self) -> dict[tuple[str, ...], float]:
        """Return every sample of a counter."""
        return {
            (sample.name, *map(str, sorted(sample.labels.items()))): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }


def token_of(kind: str, bid: BidToken = BID, signer: Signer = SIGNER) -> str:
    purpose = {
        "impression": Purpose.IMPRESSION,
        "click": Purpose.CLICK,
        "conversion": Purpose.CONVERSION,
    }.get(kind, Purpose.NOTICE)
    return signer.sign(bid)[purpose]


def path_of(kind: str) -> str:
    return f"/{'notice' if kind in ('win', 'bill', 'loss') else 'track'}/{kind}"
