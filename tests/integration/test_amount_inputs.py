"""What people, programs and exchanges may write for money, and what each of it comes to."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import falcon.testing
import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config_daemon import ApiSettings
from adctl.control import advertisers
from adctl.control.plane import open_plane
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import EventKind
from daemons.api.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis

    from adctl.config import Settings
    from adctl.control.plane import ControlPlane
    from adctl.stores.endpoints import Endpoints

# As typed, and what the answer says of it.
REFUSED = [
    ("-1", "an amount above 0"),
    ("-0.000000001", "an amount above 0"),
    ("0", "an amount above 0"),
    ("1000000000.01", "at most 1,000,000,000"),
    ("9" * 18, "at most 1,000,000,000"),
    ("9" * 41, "a decimal number"),
    ("0.0000000001", "at most 9 decimal places"),
    ("NaN", "a decimal number"),
    ("-Infinity", "a decimal number"),
    ("1e999", "a decimal number"),
    ("0x10", "a decimal number"),
    ("1,50", "a decimal number"),
    ("${AUCTION_PRICE}", "a decimal number"),
]
TAKEN = [("0.000000001", "0.000000001"), ("1000000000", "1000000000.00"), ("007.50", "7.50")]


@pytest.fixture
def plane(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[ControlPlane]:
    with open_plane(settings) as plane:
        advertisers.create(plane, "ann", {"name": "Acme"})
        yield plane


@pytest.fixture
def api(plane: ControlPlane) -> falcon.testing.TestClient:
    served = create_app(plane, CollectorRegistry(), ApiSettings())
    return falcon.testing.TestClient(served, headers={"Host": "localhost"})


def campaign_of(budget: str) -> dict[str, str]:
    return {"advertiser": "Acme", "name": "Spring", "bid": "1", "budget": budget}


@pytest.mark.parametrize(("budget", "expected"), REFUSED)
def test_api_refuses_what_is_no_budget_and_says_what_would_be(
    api: falcon.testing.TestClient, budget: str, expected: str
) -> None:
    answer = api.simulate_post("/campaigns", json=campaign_of(budget))
    assert answer.status_code == 422
    assert "budget" in answer.text
    assert expected in answer.text


@pytest.mark.parametrize(("budget", "shown"), TAKEN)
def test_api_takes_a_budget_to_the_nano(
    api: falcon.testing.TestClient, budget: str, shown: str
) -> None:
    made = api.simulate_post("/campaigns", json=campaign_of(budget))
    assert (made.status_code, made.json["budget"]) == (201, shown)


@pytest.mark.parametrize(("budget", "expected"), REFUSED)
def test_command_refuses_what_is_no_budget_and_says_what_would_be(
    plane: ControlPlane, settings: Settings, endpoints: Endpoints, budget: str, expected: str
) -> None:
    line = f"campaign create --advertiser Acme --name Spring --bid 1 --budget={shlex.quote(budget)}"
    environment = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    done = CliRunner().invoke(app, shlex.split(line), env=environment, prog_name="adctl")
    assert done.exit_code not in (0, 1)
    assert "budget" in done.stderr
    assert expected in done.stderr


BID = BidToken("ab" * 12, 1, 1, "default", 2_000_000, bid_at_ms=1_767_225_600_000, bucket=1)
BID_PRICE = (2_000_000, True)
PRICES = [
    ("-1", BID_PRICE),
    ("-0", BID_PRICE),
    ("", BID_PRICE),
    ("${AUCTION_PRICE}", BID_PRICE),
    ("0x10", BID_PRICE),
    ("NaN", BID_PRICE),
    ("1_0", BID_PRICE),
    ("1,5", BID_PRICE),
    ("9" * 41, BID_PRICE),
    ("1e999", (2_000_000, False)),
    ("0", (0, False)),
    ("1e-999", (0, False)),
    ("0.0000019", (1, False)),
    ("2.0000001", (2_000_000, False)),
    ("1.25e0", (1_250_000, False)),
]


@pytest.mark.parametrize("kind", [EventKind.IMPRESSION, EventKind.BILL, EventKind.WIN])
@pytest.mark.parametrize(("price", "expected"), PRICES)
def test_told_price_costs_at_most_the_bid_and_is_marked_where_it_is_none(
    kind: EventKind, price: str, expected: tuple[int, bool]
) -> None:
    event = track(BID, kind, kind, ToldMacros(price, ""), BID.bid_at_ms).event
    assert (event.cost_nanos, event.unpriced) == expected
