"""``adctl budget prove`` on real stores: what it accepts, and every fault it has to find."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control import campaigns
from adctl.control.invariants import STATEMENTS, Bound
from adctl.control.proving import Prover
from tests.integration.house import PRICE

if TYPE_CHECKING:
    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.stores.endpoints import Endpoints
    from adctl.stores.stream import EventStream
    from tests.integration.house import House


@pytest.fixture
def prover(pool: ConnectionPool[psycopg.Connection], redis_client: redis.Redis) -> Prover:
    return Prover(pool, redis_client)


def broken(prover: Prover) -> set[str]:
    return {breach.invariant for breach in prover.prove().breaches}


def test_bids_wins_and_events_on_their_way_add_up(house: House, prover: Prover) -> None:
    house.bid()
    house.show(house.bid())
    assert broken(prover) == set()
    house.flusher.flush_once(100)
    house.show(house.bid())
    assert broken(prover) == set()


def test_late_win_is_within_the_bound(house: House, prover: Prover) -> None:
    bids = [house.bid(), house.bid()]
    house.budgets.expire(bids[0].bucket + 2)
    assert prover.prove().bound == Bound(0, 0, 2 * PRICE, 2 * PRICE)
    assert house.show(bids[0]) == "late"
    proof = prover.prove()
    assert proof.breaches == ()
    assert proof.bound == Bound(0, 1_500_000, PRICE, PRICE)


def test_late_wins_are_paid_from_the_margin_first(house: House, prover: Prover) -> None:
    margin = {"late_margin": "0.0035", "budget": "0.0055", "daily_budget": "0.0055"}
    campaigns.update(house.plane, "ann", house.campaign_id, margin)
    late = house.bid()
    assert house.money.available == 0
    house.budgets.expire(late.bucket + 2)
    house.show(house.bid())
    assert house.show(late) == "late"
    assert house.money.available == -1_000_000
    proof = prover.prove()
    assert proof.breaches == ()
    assert proof.bound == Bound(0, 1_500_000, 0, 0)


def test_budget_lowered_under_what_is_spent_is_cut_not_overspent(
    house: House, prover: Prover, postgres: psycopg.Connection
) -> None:
    house.show(house.bid())
    lower = msgspec.structs.replace(
        house.campaign, total_budget_nanos=1_000_000, daily_budget_nanos=1_000_000
    )
    house.budgets.sync(lower, datetime.now(UTC).date())
    postgres.execute(
        "UPDATE campaign SET total_budget_nanos = 1000000, daily_budget_nanos = 1000000"
    )
    postgres.commit()
    proof = prover.prove()
    assert proof.breaches == ()
    assert proof.bound.over_budget == 500_000


@pytest.mark.parametrize(
    ("field", "invariants"),
    [
        ("available", {"flight_adds_up"}),
        ("day_available", {"day_adds_up"}),
        ("budget", {"flight_adds_up", "budget_as_configured"}),
        ("reserved", {"flight_adds_up", "day_adds_up", "reserved_in_buckets"}),
        ("exposed", {"exposed_in_buckets"}),
        ("spent", {"flight_adds_up", "spend_is_booked"}),
    ],
)
def test_amount_that_has_slipped_is_found(
    house: House, prover: Prover, field: str, invariants: set[str]
) -> None:
    house.show(house.bid())
    house.redis.hincrby(house.key, field, 1)
    assert broken(prover) == invariants


def test_overspend_that_nothing_explains_is_found(house: House, prover: Prover) -> None:
    state = house.money
    house.redis.hincrby(house.key, "available", -state.available - 1)
    house.redis.hincrby(house.key, "spent", state.available + 1)
    assert "overspend_is_late" in broken(prover)


def test_negative_count_is_found(house: House, prover: Prover) -> None:
    house.redis.hincrby(house.key, "late", -1)
    assert broken(prover) == {"nothing_negative"}


def test_money_state_that_is_gone_is_found(house: House, prover: Prover) -> None:
    house.redis.delete(house.key)
    assert broken(prover) == {"money_state"}


def test_event_that_the_ledger_lost_is_found(
    house: House, prover: Prover, stream: EventStream
) -> None:
    house.show(house.bid())
    house.redis.delete(stream.key)
    assert broken(prover) == {"spend_is_booked"}


def test_postgres_restored_to_the_past_is_found(
    house: House, prover: Prover, stream: EventStream, postgres: psycopg.Connection
) -> None:
    house.show(house.bid())
    house.flusher.flush_once(100)
    stream.trim(stream.last_id())
    postgres.execute("UPDATE stream_position SET last_id = '0-0'")
    postgres.commit()
    assert broken(prover) == {"stream_is_whole"}


def test_every_invariant_is_listed_with_what_it_says(house: House, prover: Prover) -> None:
    rows = prover.prove().rows()
    assert [row["invariant"] for row in rows] == list(STATEMENTS)
    assert all(row["holds"] for row in rows)


def run(endpoints: Endpoints, *options: str) -> Result:
    env = {"ADCTL_POSTGRES_URL": endpoints.postgres_url, "ADCTL_REDIS_URL": endpoints.redis_url}
    return CliRunner().invoke(app, ["budget", "prove", *options], env=env, prog_name="adctl")


def test_proof_that_holds_exits_with_0_and_prints_the_bound(
    house: House, endpoints: Endpoints
) -> None:
    house.bid()
    shown = run(endpoints)
    assert shown.exit_code == 0, shown.output
    assert "at most" in shown.stdout


def test_proof_that_fails_exits_with_1_and_names_the_campaign(
    house: House, endpoints: Endpoints
) -> None:
    house.redis.hincrby(house.key, "available", 5)
    shown = run(endpoints, "--output", "json")
    assert shown.exit_code == 1
    [breach] = json.loads(shown.stdout)["breaches"]
    assert (breach["campaign"], breach["invariant"]) == ("Spring", "flight_adds_up")
    assert (breach["expected"], breach["found"]) == ("50.00", "50.000000005")
