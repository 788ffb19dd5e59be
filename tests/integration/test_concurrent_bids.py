"""Many exchanges at once, and a bidder of two processes: what there is is sold, and no more."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adctl.config import RedisSettings
from adctl.models import BidStrategy, Campaign, Creative, CreativeKind, FrequencyCap, Status
from adctl.stores.budgets import Budgets, BudgetState
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.control.daemon_process import DaemonProcess

CONNECTIONS = 64
PRICE = 2_000_000
IMPRESSIONS = 100
SCARCE = Campaign(
    id=1,
    advertiser_id=1,
    name="scarce",
    status=Status.ACTIVE,
    bid_strategy=BidStrategy.CPM,
    bid_amount_micros=PRICE,
    daily_budget_nanos=IMPRESSIONS * PRICE,
    total_budget_nanos=IMPRESSIONS * PRICE,
    starts_at=datetime(2020, 1, 1, tzinfo=UTC),
    creatives=(
        Creative(
            id=11,
            campaign_id=1,
            name="box",
            kind=CreativeKind.BANNER,
            status=Status.ACTIVE,
            landing_url="https://advertiser.example/",
            adomain=("advertiser.example",),
            width=300,
            height=250,
            image_url="https://cdn.example/a.png",
        ),
    ),
)
LEADERBOARD = msgspec.structs.replace(
    SCARCE.creatives[0], id=12, campaign_id=2, width=728, height=90
)
CAPPED = msgspec.structs.replace(
    SCARCE,
    id=2,
    name="capped",
    caps=(FrequencyCap(3, 86_400),),
    daily_budget_nanos=10**12,
    total_budget_nanos=10**12,
    creatives=(LEADERBOARD,),
)


@pytest.fixture(scope="module")
def bidder(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([SCARCE, CAPPED])
        for campaign in (SCARCE, CAPPED):
            Budgets(client).sync(campaign, datetime.now(UTC).date())
    return start_daemon(
        "bidder",
        ADCTL_REDIS_URL=own_redis_url,
        # A machine that is busy must not make a bid of what was reserved impossible.
        ADCTL_REDIS_HOT_TIMEOUT_MS="5000",
        ADCTL_KAFKA_TOPIC_PREFIX="concurrent-",
        ADCTL_BIDDER_WORKERS="2",
    )


def request_for(creative: Creative, **changes: Any) -> bytes:
    banner = {"w": creative.width, "h": creative.height}
    return json.dumps({"id": "r", "imp": [{"id": "1", "banner": banner}], **changes}).encode()


def bids_of(bidder: DaemonProcess, body: bytes, *, each: int) -> int:
    """Return how many bids come of ``each`` requests on every one of 64 connections at once."""

    def ask(_number: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", bidder.port, timeout=20)
        bids = 0
        for _ in range(each):
            connection.request("POST", "/bid-request", body)
            reply = connection.getresponse()
            reply.read()
            assert reply.status in (200, 204)
            bids += reply.status == 200
        connection.close()
        return bids

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return sum(pool.map(ask, range(CONNECTIONS)))


def money(own_redis_url: str, campaign: Campaign) -> BudgetState:
    with connect(own_redis_url, RedisSettings()) as client:
        return Budgets(client).read([campaign.id])[campaign.id]


def test_budget_of_100_impressions_sells_exactly_100(
    bidder: DaemonProcess, own_redis_url: str
) -> None:
    assert bids_of(bidder, request_for(SCARCE.creatives[0]), each=4) == IMPRESSIONS
    state = money(own_redis_url, SCARCE)
    assert (state.reserved, state.available) == (IMPRESSIONS * PRICE, 0)


def test_user_with_a_cap_of_3_gets_exactly_3_of_64_bids_at_once(
    bidder: DaemonProcess, own_redis_url: str
) -> None:
    body = request_for(LEADERBOARD, user={"id": "visitor"})
    assert bids_of(bidder, body, each=1) == 3
    assert money(own_redis_url, CAPPED).reserved == 3 * PRICE
