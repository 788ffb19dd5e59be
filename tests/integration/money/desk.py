"""One capped campaign at a desk: it bids, and is told what became of its bids."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    Event,
    EventKind,
    FrequencyCap,
    Status,
)
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets, BudgetState
from adctl.stores.event_intake import EventIntake

if TYPE_CHECKING:
    import redis


from tests.integration.house import PlainScripts

NOW_MS = 1_767_225_600_000
USER = "ab" * 16
BUDGET = 10**10
PRICE = 2_000_000
CAPPED = Campaign(
    id=1,
    advertiser_id=1,
    name="capped",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=PRICE,
    daily_budget_nanos=BUDGET,
    total_budget_nanos=BUDGET,
    starts_at=datetime(2025, 1, 1, tzinfo=UTC),
    caps=(FrequencyCap(3, 3600), FrequencyCap(9, 86_400)),
)
BANNER = Creative(
    id=1,
    campaign_id=1,
    name="c",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://a.example/",
    adomain=("a.example",),
)


class Desk:
    """Bids and events of one campaign, billed at the impression."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis = client
        self.budgets = Budgets(client)
        self.ledger = RedisLedger(PlainScripts(client), hold_sec=120)
        self.scripts = PlainScripts(client)
        self.intake = EventIntake(self.scripts, hold_sec=120, seen_ttl_sec=86_400)
        self._bids = 0
        self.budgets.sync(CAPPED, date(2026, 1, 1))

    def bid(self, now_ms: int = NOW_MS) -> BidToken | None:
        auction = ImpAuction("1", 0, (Candidate(CAPPED, BANNER, PRICE, CAPPED.caps),))
        bucket = now_ms // 60_000
        [verdict] = self.ledger.decide([auction], USER, bucket, now_ms)
        if verdict.winner is None:
            return None
        self._bids += 1
        return BidToken(
            bid_id=f"{self._bids:024x}",
            campaign_id=1,
            creative_id=1,
            exchange="default",
            price_cpm_micros=verdict.price_cpm_micros,
            bid_at_ms=now_ms,
            bucket=bucket,
            user_hash=USER,
            cap_windows=tuple(cap.window_sec for cap in CAPPED.caps),
        )

    def tell(
        self, bid: BidToken | None, kind: EventKind, price: str = "1.5", now_ms: int = NOW_MS + 1000
    ) -> str:
        assert bid is not None
        return self.intake.take(track(bid, kind, EventKind.IMPRESSION, ToldMacros(price), now_ms))

    @property
    def money(self) -> BudgetState:
        return self.budgets.read([1])[1]

    @property
    def stream(self) -> list[tuple[Event, str]]:
        return [
            (msgspec.json.decode(fields["e"], type=Event), fields["late"])
            for _, fields in self.redis.xrange(keys.events(0))
        ]
