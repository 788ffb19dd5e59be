"""``python -m tests.bench.large [--campaigns N]``: a catalog of 100,000 campaigns while it changes.

Two workers of the bidder; how long they take to be ready, what they hold, how soon each knows of a
change, and what a hundred changes a second do to the answers at a steady rate.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import psutil

from adctl.config import RedisSettings
from adctl.control.load import post_steadily
from adctl.models import Targeting
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.bench import load, market
from tests.bench.measurements import Measurement, markdown, ratio
from tests.bench.serving import at, running_bidder, stock_up, today
from tests.bench.stores import own_stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adctl.models import Campaign
    from adctl.stores.endpoints import Endpoints

LARGE = 100_000
WORKERS = 2
CHANGES_PER_SEC = 100
_PER_SEC = 500
_BODIES = 1_000
# Both workers have been asked after so many answers on new connections, but once in a million.
_IN_A_ROW = 20


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.large", description=__doc__)
    parser.add_argument("--campaigns", type=int, default=LARGE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--for", dest="seconds", type=int, default=10, help="each steady rate")
    arguments = parser.parse_args()
    with own_stores() as (endpoints, folder):
        told = measure(endpoints, folder, arguments.rounds, arguments.campaigns, arguments.seconds)
        sys.stdout.write(markdown(list(told)) + "\n")


def measure(
    endpoints: Endpoints, state: Path, rounds: int, count: int = LARGE, seconds: float = 10
) -> Iterator[Measurement]:
    """Yield what a catalog of ``count`` campaigns costs, at rest and while it changes."""
    campaigns = market.campaigns(count)
    stock_up(endpoints, campaigns)
    began = time.perf_counter()
    with (
        running_bidder(endpoints, state / "large", workers=WORKERS) as bidder,
        connect(endpoints.redis_url, RedisSettings()) as client,
    ):
        name = f"{count:,} campaigns, {WORKERS} workers"
        yield Measurement(f"{name}: ready after", "s", [time.perf_counter() - began])
        _wait_for_all(bidder.port)
        store = CatalogStore(client)
        Budgets(client).sync(_marked(campaigns[0], 0), today())
        seen = [_seen_after_ms(bidder.port, store, campaigns[0], n) for n in range(5 * rounds)]
        yield Measurement(f"{name}: a change is in every worker after", "ms", seen)
        quiet, busy = [], []
        bodies = market.mixed_bodies(_BODIES)
        for _ in range(rounds):
            told = post_steadily(at(bidder.port), bodies, _PER_SEC, seconds, load.CONNECTIONS)
            quiet.append(told.p99_ms)
            with _changing(store, campaigns):
                told = post_steadily(at(bidder.port), bodies, _PER_SEC, seconds, load.CONNECTIONS)
            busy.append(told.p99_ms)
        calm = Measurement(f"{name}: 99th percentile at {_PER_SEC} requests/s", "ms", quiet)
        changing = Measurement(f"{name}: with {CHANGES_PER_SEC} changes/s", "ms", busy)
        yield calm
        yield changing
        yield ratio("with changes / without", changing, calm)
        held = [worker.memory_info().rss / 1e6 for worker in psutil.Process(bidder.pid).children()]
        yield Measurement(f"{name}: memory of a worker, afterwards", "MB", held)


def _wait_for_all(port: int) -> None:
    """Wait until no worker says any more that its catalog is not loaded."""
    in_a_row, deadline = 0, time.monotonic() + 60
    while in_a_row < _IN_A_ROW and time.monotonic() < deadline:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("GET", "/health/ready")
        in_a_row = in_a_row + 1 if client.getresponse().status == http.client.OK else 0
        client.close()


def _marked(campaign: Campaign, number: int) -> Campaign:
    """Return the campaign for one site alone, where it outbids everybody."""
    return msgspec.structs.replace(
        campaign,
        bid_amount_micros=90_000_000,
        caps=(),
        targeting=Targeting(domains_include=(f"site-{number}.example",)),
    )


def _seen_after_ms(port: int, store: CatalogStore, campaign: Campaign, number: int) -> float:
    creative = campaign.creatives[0]
    request = {
        "id": "r",
        "imp": [
            {
                "id": "1",
                "banner": {"w": creative.width, "h": creative.height},
                "bidfloor": 80,
                "secure": 1,
            }
        ],
        "site": {"domain": f"site-{number}.example"},
        "cur": ["USD"],
        "test": 1,
    }
    body = json.dumps(request).encode()
    store.publish(_marked(campaign, number), serving=True)
    began, in_a_row, last_unaware = time.perf_counter(), 0, 0.0
    while in_a_row < _IN_A_ROW:
        if _bids(port, body):
            in_a_row += 1
        else:
            in_a_row, last_unaware = 0, time.perf_counter() - began
        if last_unaware > 60:
            raise SystemExit("a change did not reach the workers")
    return last_unaware * 1000


def _bids(port: int, body: bytes) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    client.request("POST", "/bid-request", body, {"Content-Type": "application/json"})
    answer = client.getresponse()
    answer.read()
    client.close()
    return answer.status == http.client.OK


@contextmanager
def _changing(store: CatalogStore, campaigns: list[Campaign]) -> Iterator[None]:
    stop = threading.Event()

    def change() -> None:
        due, number = time.perf_counter(), 0
        while not stop.is_set():
            campaign = campaigns[1 + number % (len(campaigns) - 1)]
            changed = msgspec.structs.replace(
                campaign, bid_amount_micros=campaign.bid_amount_micros + 1 + number % 7
            )
            store.publish(changed, serving=True)
            number += 1
            due += 1 / CHANGES_PER_SEC
            stop.wait(max(0.0, due - time.perf_counter()))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
