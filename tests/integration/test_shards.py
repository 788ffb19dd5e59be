"""Exactly what a budget pays for is sold, though sixteen shards sell it at once."""

from __future__ import annotations

import html
import http.client
import itertools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec
import pytest

from adctl.config import RedisSettings, load_settings
from adctl.control.flushing import Flusher, together
from adctl.delivery.bidding import Bidder
from adctl.delivery.catalog import Catalog
from adctl.delivery.terms import terms_of
from adctl.delivery.tokens import Signer
from adctl.errors import ConfigError
from adctl.openrtb import decode_request
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import ClientScripts, connect
from adctl.stores.shard_count import require_shards
from adctl.stores.sharded_budgets import ShardedBudgets
from adctl.stores.steering import SteeringStore
from adctl.stores.stream import event_streams
from tests.integration.bidder.calling import CAMPAIGN, JSON, REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.endpoints import Endpoints

SHARDS = 16
AFFORDABLE = 100
PRICE = CAMPAIGN.bid_amount_micros
BUDGET = AFFORDABLE * PRICE
POOR = msgspec.structs.replace(CAMPAIGN, total_budget_nanos=BUDGET, daily_budget_nanos=BUDGET)
KEY = bytes(range(32))
SETTINGS = RedisSettings(pool_size=80, timeout_ms=20_000)
NUMBERS = itertools.count()
# Rounds of requests from everybody in which nothing is sold, before nothing will be.
QUIET_ROUNDS = 3


class Shelf(NamedTuple):
    current: Catalog


def body() -> bytes:
    number = next(NUMBERS)
    return json.dumps({**REQUEST, "id": f"r{number}", "user": {"id": f"user-{number}"}}).encode()


def furnish(client: redis.Redis) -> ShardedBudgets:
    CatalogStore(client).fill([POOR])
    budgets = ShardedBudgets(client, SHARDS)
    budgets.sync(POOR, datetime.now(UTC).date())
    return budgets


class Pacing:
    """What the pacer does about shares, without a pause."""

    def __init__(self, budgets: ShardedBudgets) -> None:
        self._budgets = budgets
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.transfers = 0

    def _run(self) -> None:
        while not self._over.wait(0.01):
            self.transfers += self._budgets.rebalance()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def sell_out(answer: Callable[[], bool], threads: int, budgets: ShardedBudgets) -> int:
    """Ask from many threads until nothing is sold any more; return how much was."""
    sold = quiet = 0
    with ThreadPoolExecutor(threads) as crowd:
        while quiet < QUIET_ROUNDS:
            answers = list(crowd.map(lambda _: answer(), range(256)))
            sold += sum(answers)
            quiet = 0 if any(answers) else quiet + 1
            assert sold <= AFFORDABLE
            # Nobody has to wait for the pacer's next look.
            budgets.rebalance()
    return sold


@pytest.mark.usefixtures("redis_client")
def test_sixteen_shards_of_one_server_sell_all_and_no_more(endpoints: Endpoints) -> None:
    with connect(endpoints.redis_url, SETTINGS) as client:
        budgets = furnish(client)
        catalog, terms = Shelf(Catalog.build([POOR])), terms_of(load_settings())
        local = threading.local()

        def answer() -> bool:
            # A bidder is of one thread.
            if not hasattr(local, "bidder"):
                ledger = RedisLedger(ClientScripts(client), 120, SHARDS)
                local.bidder = Bidder(catalog, ledger, Signer({1: KEY}), KEY, terms)
            return local.bidder.answer(decode_request(body()), "default").response is not None

        with Pacing(budgets) as pacing:
            sold = sell_out(answer, 64, budgets)
        assert sold == AFFORDABLE
        assert pacing.transfers > 0
        state = budgets.read([1])[1]
        assert (state.reserved, state.available, state.budget) == (BUDGET, 0, BUDGET)
        assert state.adds_up


@pytest.fixture
def cluster(cluster_url: str) -> Iterator[redis.Redis]:
    with connect(cluster_url, SETTINGS) as client:
        client.flushall()
        yield client


@pytest.fixture
def pair(
    cluster: redis.Redis, cluster_url: str, start_daemon: Callable[..., DaemonProcess]
) -> tuple[DaemonProcess, DaemonProcess]:
    """A bidder and a tracker on the cluster."""
    furnish(cluster)
    shared = {
        "ADCTL_REDIS_URL": cluster_url,
        "ADCTL_REDIS_SHARDS": str(SHARDS),
        "ADCTL_REDIS_HOT_TIMEOUT_MS": "5000",
        "ADCTL_SIGNING_KEYS": f"3:{KEY.hex()}",
        "ADCTL_SIGNING_USER_KEY": KEY.hex(),
        "ADCTL_API_PORT": "1",
    }
    tracker = start_daemon("tracker", **shared)
    url = f"http://127.0.0.1:{tracker.port}"
    bidder = start_daemon(
        "bidder",
        ADCTL_TRACKER_PUBLIC_URL=url,
        ADCTL_BIDDER_WORKERS="2",
        ADCTL_KAFKA_TOPIC_PREFIX="shards-",
        **shared,
    )
    return bidder, tracker


class Exchange:
    """Asks for bids, and tells of each whether it was lost or seen. One for each thread."""

    def __init__(self, bidder: DaemonProcess, tracker: DaemonProcess) -> None:
        self._bidder = http.client.HTTPConnection("127.0.0.1", bidder.port, timeout=30)
        self._tracker = http.client.HTTPConnection("127.0.0.1", tracker.port, timeout=30)

    def close(self) -> None:
        self._bidder.close()
        self._tracker.close()

    def deal(self) -> bool:
        """Return whether an impression was sold."""
        number = next(NUMBERS)
        self._bidder.request("POST", "/bid-request", body(), JSON)
        reply = self._bidder.getresponse()
        answer = reply.read()
        if reply.status == 204:
            return False
        [bid] = json.loads(answer)["seatbid"][0]["bid"]
        if number % 5 == 0:
            self._tell(bid["lurl"].replace("${AUCTION_LOSS}", "102"))
            return False
        pixel = re.search(r'http[^"]+/track/impression[^"]+', bid["adm"])
        assert pixel
        self._tell(html.unescape(pixel[0]).replace("${AUCTION_PRICE}", str(bid["price"])))
        return True

    def _tell(self, url: str) -> None:
        parts = urlsplit(url)
        self._tracker.request("GET", f"{parts.path}?{parts.query}")
        reply = self._tracker.getresponse()
        reply.read()
        assert reply.status in (200, 204)


def test_cluster_of_three_nodes_sells_all_and_no_more_and_books_it_to_the_nano(
    cluster: redis.Redis,
    pair: tuple[DaemonProcess, DaemonProcess],
    pool: ConnectionPool[psycopg.Connection],
    postgres: psycopg.Connection,
) -> None:
    budgets = ShardedBudgets(cluster, SHARDS)
    local = threading.local()
    with ExitStack() as opened, Pacing(budgets) as pacing:

        def answer() -> bool:
            if not hasattr(local, "exchange"):
                local.exchange = opened.enter_context(closing(Exchange(*pair)))
            return bool(local.exchange.deal())

        sold = sell_out(answer, 16, budgets)
    assert sold == AFFORDABLE
    assert pacing.transfers > 0
    state = budgets.read([1])[1]
    assert (state.spent, state.reserved, state.available) == (BUDGET, 0, 0)
    assert state.adds_up
    assert SteeringStore(cluster, SHARDS).live_counts([1])[1].impressions == AFFORDABLE
    flushers = [Flusher(pool, stream) for stream in event_streams(cluster, SHARDS)]
    flushed = [flusher.drain(50) for flusher in flushers]
    assert sum(batch.stored > 0 for batch in flushed) > SHARDS // 2
    assert sum(batch.booked_nanos for batch in flushed) == BUDGET
    count, spent = postgres.execute(
        "SELECT count(*), sum(cost_nanos) FROM event WHERE kind = 'impression'"
    ).fetchone() or (0, 0)
    assert (count, spent) == (AFFORDABLE, BUDGET)
    assert together([flusher.status() for flusher in flushers]).unflushed_age_sec == 0


def test_data_of_another_number_of_shards_is_refused(redis_client: redis.Redis) -> None:
    require_shards(redis_client, 4)
    require_shards(redis_client, 4)
    with pytest.raises(ConfigError, match="expected 4, as the data in Redis has it"):
        require_shards(redis_client, 16)
