"""One campaign whose bids and events go through the real scripts, for tests of the books."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from adctl.control import advertisers, campaigns
from adctl.control.publishing import read_documents
from adctl.delivery.auction import Candidate, ImpAuction
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import Creative, CreativeKind, EventKind, Status
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import SHARD, BudgetState
from adctl.stores.event_intake import EventIntake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis

    from adctl.control.flushing import Flusher
    from adctl.control.plane import ControlPlane
    from adctl.models import Event
    from adctl.stores.redis import Script

PRICE = 2_000_000
CREATIVE = Creative(
    id=1,
    campaign_id=1,
    name="c",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://a.example/",
    adomain=("a.example",),
)


class PlainScripts:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> object:
        return script.run(self._client, keys, args)


class House:
    """One active campaign that bids, and what is told of its bids."""

    def __init__(self, plane: ControlPlane, redis: redis.Redis, flusher: Flusher) -> None:
        self.redis, self.flusher, self.plane, self.budgets = redis, flusher, plane, plane.budgets
        advertisers.create(plane, "ann", {"name": "Acme"})
        wanted = {"advertiser": "Acme", "name": "Spring", "budget": "50", "bid": "2.00"}
        self.campaign_id = campaigns.create(plane, "ann", wanted).view.id
        with plane.engine.connect() as conn:
            raw = conn.connection.driver_connection
            [document] = read_documents(raw, [self.campaign_id], datetime.now(UTC))
        self.campaign = document.campaign
        self._ledger = RedisLedger(PlainScripts(redis), hold_sec=120, shards=plane.budgets.shards)
        self._intake = EventIntake(PlainScripts(redis), hold_sec=120, seen_ttl_sec=86_400)
        self._bids = 0

    @property
    def key(self) -> str:
        return keys.budget(SHARD, self.campaign_id)

    @property
    def money(self) -> BudgetState:
        return self.budgets.read([self.campaign_id])[self.campaign_id]

    def bid(self) -> BidToken:
        now_ms = time.time_ns() // 1_000_000
        auction = ImpAuction("1", 0, (Candidate(self.campaign, CREATIVE, PRICE),))
        [verdict] = self._ledger.decide([auction], "", now_ms // 60_000, now_ms)
        assert verdict.winner == 0
        self._bids += 1
        return BidToken(
            bid_id=f"{self._bids:024x}",
            campaign_id=self.campaign_id,
            creative_id=1,
            exchange="default",
            price_cpm_micros=PRICE,
            bid_at_ms=now_ms,
            bucket=now_ms // 60_000,
            shard=verdict.shard,
        )

    def show(self, bid: BidToken) -> str:
        return self.tell(bid, EventKind.IMPRESSION, lambda event: event)

    def tell(self, bid: BidToken, kind: EventKind, change: Callable[[Event], Event]) -> str:
        """Tell of an event of ``bid``, which is what ``change`` makes of it."""
        now_ms = bid.bid_at_ms + 1000
        tracked = track(bid, kind, EventKind.IMPRESSION, ToldMacros(price="1.5"), now_ms)
        return self._intake.take(
            msgspec.structs.replace(tracked, event=change(tracked.event)),
        )
