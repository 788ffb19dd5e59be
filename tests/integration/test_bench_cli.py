"""``adctl bench``, on a running bidder."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.config import RedisSettings
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.integration.bidder.calling import BODY, CAMPAIGN

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.control.daemon_process import DaemonProcess


@pytest.fixture(scope="module")
def adctl(
    own_redis_url: str,
    start_daemon: Callable[..., DaemonProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Result]:
    with connect(own_redis_url, RedisSettings()) as client:
        CatalogStore(client).fill([CAMPAIGN])
        Budgets(client).sync(CAMPAIGN, datetime.now(UTC).date())
    bidder = start_daemon(
        "bidder", ADCTL_REDIS_URL=own_redis_url, ADCTL_TRACKER_PUBLIC_URL="https://t.example"
    )
    requests = tmp_path_factory.mktemp("bench") / "requests.jsonl"
    requests.write_bytes(BODY + b"\n")
    env = {"ADCTL_BIDDER_PORT": str(bidder.port), "REQUESTS": str(requests)}

    def run(command: str) -> Result:
        words = [word.replace("REQUESTS", str(requests)) for word in shlex.split(command)]
        return CliRunner().invoke(app, words, env=env)

    return run


def reserved(redis_url: str) -> int:
    with connect(redis_url, RedisSettings()) as client:
        return int(client.hget(keys.budget(SHARD, CAMPAIGN.id), "reserved") or 0)


def test_tests_are_bid_on_and_reserve_nothing(
    adctl: Callable[[str], Result], own_redis_url: str
) -> None:
    before = reserved(own_redis_url)
    result = adctl("bench --requests REQUESTS --rate 100 --rate 50 --for 1s --output json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["asked_per_sec"], row["bids"], row["errors"]) for row in rows] == [
        (100, 100, 0),
        (50, 50, 0),
    ]
    assert reserved(own_redis_url) == before


def test_real_requests_are_asked_about_first_and_reserve(
    adctl: Callable[[str], Result], own_redis_url: str
) -> None:
    before = reserved(own_redis_url)
    assert adctl("bench --requests REQUESTS --rate 20 --for 1s --real").exit_code == 6
    assert reserved(own_redis_url) == before
    assert adctl("bench --requests REQUESTS --rate 20 --for 1s --real --yes").exit_code == 0
    assert reserved(own_redis_url) > before


def test_an_exchange_that_is_not_there_is_named(adctl: Callable[[str], Result]) -> None:
    result = adctl("bench --exchange nobody")
    assert (result.exit_code, "there are default" in result.stderr) == (5, True)


def test_requests_that_fail_are_counted_and_told(adctl: Callable[[str], Result]) -> None:
    result = adctl("bench --rate 20 --for 1s --exchange default --requests REQUESTS --url URL")
    assert result.exit_code == 3
    nowhere = "http://127.0.0.1:1/bid-request"
    assert adctl(f"bench --rate 20 --for 1s --url {nowhere}").exit_code == 7


def test_our_own_requests_are_all_answered(adctl: Callable[[str], Result]) -> None:
    result = adctl("bench --rate 200 --for 1s --output csv")
    assert result.exit_code == 0, result.output
    header, row = result.stdout.splitlines()
    told = dict(zip(header.split(","), row.split(","), strict=True))
    assert int(told["bids"]) + int(told["no_bids"]) == 200
