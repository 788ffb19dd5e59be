from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from structlog.testing import capture_logs

from adctl.delivery.targeting import RequestAttributes
from adctl.errors import StoreUnavailableError
from adctl.models import (
    BidStrategy,
    Campaign,
    Creative,
    CreativeKind,
    Factors,
    Status,
    Targeting,
    TimeWindow,
)
from adctl.stores import keys
from adctl.stores.catalog import CatalogStore
from adctl.stores.catalog_feed import CatalogFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from adctl.config import Settings

SIZES = frozenset({(300, 250)})


def make_campaign(campaign_id: int, **changes: Any) -> Campaign:
    creative = Creative(
        id=campaign_id,
        campaign_id=campaign_id,
        name="banner",
        kind=CreativeKind.BANNER,
        status=Status.ACTIVE,
        landing_url="https://advertiser.example/",
        adomain=("advertiser.example",),
        width=300,
        height=250,
    )
    campaign = Campaign(
        id=campaign_id,
        advertiser_id=1,
        name=f"campaign {campaign_id}",
        status=Status.ACTIVE,
        bid_strategy=BidStrategy.CPM,
        bid_amount_micros=1_000_000,
        daily_budget_nanos=10**9,
        total_budget_nanos=10**10,
        starts_at=datetime(2020, 1, 1, tzinfo=UTC),
        creatives=(creative,),
    )
    return msgspec.structs.replace(campaign, **changes)


class Api:
    """A real HTTP server that answers as the api does; it counts what it was asked."""

    def __init__(self) -> None:
        self.campaigns: dict[int, Campaign] = {}
        self.asked: list[str] = []
        self.status = 200
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                status, body = api.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def answer(self, path: str) -> tuple[int, bytes]:
        if self.status != 200:
            return self.status, b"no"
        if path == "/catalog":
            return 200, msgspec.json.encode(list(self.campaigns.values()))
        campaign = self.campaigns.get(int(path.removeprefix("/catalog/")))
        return (200, msgspec.json.encode(campaign)) if campaign else (404, b"{}")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.close()


@pytest.fixture
def store(redis_client: redis.Redis) -> CatalogStore:
    return CatalogStore(redis_client)


@pytest.fixture
def start_feed(settings: Settings, api: Api) -> Iterator[Callable[..., CatalogFeed]]:
    started: list[CatalogFeed] = []

    def start(redis_url: str = "", refresh_sec: int = 3600, api_port: int = 0) -> CatalogFeed:
        ours = settings.model_copy(
            update={
                "api": settings.api.model_copy(update={"port": api_port or api.port}),
                "catalog": settings.catalog.model_copy(update={"refresh_sec": refresh_sec}),
            }
        )
        feed = CatalogFeed(redis_url or settings.redis.url.get_secret_value(), ours)
        started.append(feed)
        feed.start()
        return feed

    yield start
    for feed in started:
        feed.stop()


def eventually(claim: Callable[[], bool], within_sec: float = 5.0) -> None:
    give_up = time.monotonic() + within_sec
    while not claim():
        assert time.monotonic() < give_up, "it did not come about in time"
        time.sleep(0.005)


def served(feed: CatalogFeed) -> set[int]:
    return {campaign.id for campaign in feed.current.index.campaigns if campaign}


def test_everything_in_redis_is_loaded_without_asking_the_api(
    store: CatalogStore, api: Api, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1), make_campaign(2)])
    feed = start_feed()
    eventually(lambda: feed.ready)
    assert served(feed) == {1, 2}
    assert api.asked == []
    feed.require_ready()
    assert feed.age_sec < 5


def test_an_empty_redis_is_made_up_for_by_the_api(
    redis_client: redis.Redis, api: Api, start_feed: Callable[..., CatalogFeed]
) -> None:
    api.campaigns = {1: make_campaign(1)}
    feed = start_feed()
    eventually(lambda: served(feed) == {1})
    assert api.asked == ["/catalog"]


def test_a_document_that_expired_is_asked_for_by_its_id(
    store: CatalogStore,
    redis_client: redis.Redis,
    api: Api,
    start_feed: Callable[..., CatalogFeed],
) -> None:
    store.fill([make_campaign(1), make_campaign(2), make_campaign(3)])
    redis_client.delete(keys.campaign(2), keys.campaign(3))
    api.campaigns = {2: make_campaign(2)}
    feed = start_feed()
    eventually(lambda: feed.ready)
    assert served(feed) == {1, 2}
    assert sorted(api.asked) == ["/catalog/2", "/catalog/3"]


def test_many_expired_documents_are_asked_for_in_one_go(
    store: CatalogStore,
    redis_client: redis.Redis,
    api: Api,
    start_feed: Callable[..., CatalogFeed],
) -> None:
    api.campaigns = {number: make_campaign(number) for number in range(1, 41)}
    store.fill(list(api.campaigns.values()))
    redis_client.delete(*map(keys.campaign, range(1, 31)))
    feed = start_feed()
    eventually(lambda: feed.ready)
    assert len(served(feed)) == 40
    assert api.asked == ["/catalog"]


def test_no_campaigns_at_all_is_a_catalog_too(
    store: CatalogStore, api: Api, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([])
    feed = start_feed()
    eventually(lambda: feed.ready)
    assert served(feed) == set()
    assert api.asked == []


def test_a_change_is_in_the_catalog_within_milliseconds(
    store: CatalogStore, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1)])
    feed = start_feed()
    eventually(lambda: feed.ready)
    took = []
    for number in range(2, 7):
        began = time.monotonic()
        store.publish(make_campaign(number), serving=True)
        eventually(lambda number=number: number in served(feed))
        took.append(time.monotonic() - began)
    assert min(took) < 0.1
    store.publish(make_campaign(1, status=Status.PAUSED), serving=False)
    eventually(lambda: 1 not in served(feed))


def test_a_changed_campaign_is_decided_on_as_it_is_now(
    store: CatalogStore, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1)])
    feed = start_feed()
    eventually(lambda: feed.ready)
    store.publish(make_campaign(1, targeting=Targeting(countries=("USA",))), serving=True)
    now_ms = time.time_ns() // 1_000_000

    def matching(attributes: RequestAttributes) -> int:
        return len(list(feed.current.index.match(attributes, SIZES, now_ms)))

    eventually(lambda: matching(RequestAttributes()) == 0)
    assert matching(RequestAttributes(country="USA")) == 1


def test_campaigns_are_held_under_the_configured_ceiling_from_the_first_moment(
    store: CatalogStore, redis_client: redis.Redis, start_feed: Callable[..., CatalogFeed]
) -> None:
    clicked = msgspec.structs.replace(make_campaign(1), bid_strategy=BidStrategy.CPC)
    dear = msgspec.structs.replace(clicked, bid_amount_micros=50_000_000)
    store.fill([dear])
    feed = start_feed()
    eventually(lambda: feed.ready)
    assert feed.current.bid_of(dear) == 20_000_000
    redis_client.hset(keys.FACTORS, "1", '{"ctr_ppm":60000}')
    eventually(lambda: feed.current.factors_of(1).ctr_ppm == 60_000)
    assert (feed.current.bid_of(dear), feed.current.cut_of(1)) == (20_000_000, 2_980_000_000)


def test_factors_arrive_within_about_a_second_and_leave_again(
    store: CatalogStore, redis_client: redis.Redis, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1)])
    redis_client.hset(keys.FACTORS, "1", msgspec.json.encode(Factors(pacing_ppm=5)))
    feed = start_feed()
    eventually(lambda: feed.current.factors_of(1).pacing_ppm == 5)
    redis_client.hset(keys.FACTORS, "1", msgspec.json.encode(Factors(pacing_ppm=7)))
    eventually(lambda: feed.current.factors_of(1).pacing_ppm == 7, within_sec=2)
    redis_client.hset(keys.FACTORS, "1", "not factors")
    redis_client.hset(keys.FACTORS, "2", msgspec.json.encode(Factors(pacing_ppm=9)))
    eventually(lambda: feed.current.factors_of(2).pacing_ppm == 9, within_sec=2)
    assert feed.current.factors_of(1).pacing_ppm == 7
    redis_client.delete(keys.FACTORS)
    eventually(lambda: feed.current.factors_of(1) == Factors(), within_sec=2)


def test_a_lost_announcement_is_made_up_for_by_the_next_refresh(
    store: CatalogStore, redis_client: redis.Redis, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1)])
    feed = start_feed(refresh_sec=1)
    eventually(lambda: feed.ready)
    store.fill([make_campaign(2)])
    eventually(lambda: served(feed) == {2}, within_sec=3)


def test_one_document_nobody_can_read_keeps_no_other_out(
    store: CatalogStore,
    redis_client: redis.Redis,
    api: Api,
    start_feed: Callable[..., CatalogFeed],
) -> None:
    unusable = make_campaign(
        3, timezone="Nowhere/Land", targeting=Targeting(time_windows=(TimeWindow(),))
    )
    store.fill([make_campaign(1), make_campaign(2), unusable])
    redis_client.set(keys.campaign(2), '{"id": 2, "of": "another version"}')
    feed = start_feed()
    eventually(lambda: feed.ready)
    assert served(feed) == {1}
    store.publish(msgspec.structs.replace(unusable, id=4), serving=True)
    store.publish(make_campaign(5), serving=True)
    eventually(lambda: served(feed) == {1, 5})


def test_while_the_api_is_out_expired_campaigns_go_on_serving(
    store: CatalogStore,
    redis_client: redis.Redis,
    api: Api,
    start_feed: Callable[..., CatalogFeed],
) -> None:
    store.fill([make_campaign(1), make_campaign(2)])
    with capture_logs() as logs:
        feed = start_feed(refresh_sec=1)
        eventually(lambda: feed.ready)
        api.status = 503
        redis_client.delete(keys.campaign(2))
        eventually(lambda: len(api.asked) >= 2)
        assert served(feed) == {1, 2}
    assert [entry["event"] for entry in logs] == ["api does not answer; expired campaigns are kept"]


def test_a_catalog_that_was_never_loaded_is_not_ready(
    redis_client: redis.Redis, start_feed: Callable[..., CatalogFeed]
) -> None:
    feed = start_feed(api_port=1)  # nobody listens there
    time.sleep(0.3)
    assert not feed.ready
    with pytest.raises(StoreUnavailableError, match="not loaded yet"):
        feed.require_ready()
    assert len(feed.current) == 0


def test_a_feed_without_redis_waits_for_it_and_stops_when_told(
    start_feed: Callable[..., CatalogFeed],
) -> None:
    with capture_logs() as logs:
        feed = start_feed(redis_url="redis://127.0.0.1:1/0")
        time.sleep(0.8)
        feed.stop()
    assert not feed.ready
    assert [entry["event"] for entry in logs] == ["catalog cannot be followed; the last one stays"]


def test_after_redis_dropped_the_connection_missed_changes_are_read(
    store: CatalogStore, redis_client: redis.Redis, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1)])
    with capture_logs() as logs:
        feed = start_feed()
        eventually(lambda: feed.ready)
        redis_client.client_kill_filter(_type="pubsub")
        store.fill([make_campaign(2)])
        eventually(lambda: served(feed) == {2})
        eventually(lambda: len(logs) == 2)
    assert logs[0]["event"] == "catalog cannot be followed; the last one stays"
    assert logs[1]["event"] == "catalog is followed again"


def test_stopping_takes_no_longer_than_a_moment(
    store: CatalogStore, start_feed: Callable[..., CatalogFeed]
) -> None:
    store.fill([make_campaign(1)])
    feed = start_feed()
    eventually(lambda: feed.ready)
    began = time.monotonic()
    feed.stop()
    assert time.monotonic() - began < 1
    assert served(feed) == {1}
