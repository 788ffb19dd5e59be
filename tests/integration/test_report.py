from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.control.flushing import Flusher
from adctl.models import Campaign, EventKind, Factors
from adctl.stores.budgets import Budgets, Spent
from adctl.stores.rollups import (
    Additions,
    Candidacies,
    CandidatesKey,
    Delivery,
    DeliveryKey,
    RequestsKey,
    Rollups,
)
from adctl.stores.steering import SteeringStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from click.testing import Result
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings
    from adctl.models import Event
    from adctl.stores.stream import EventStream

    Run = Callable[..., Result]

TEN = datetime(2026, 11, 1, 10, tzinfo=UTC)
PERIOD = ("--since", "2026-11-01", "--until", "2026-11-03")


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())
    monkeypatch.setenv("ADCTL_REDIS_URL", settings.redis.url.get_secret_value())
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(app, [*args])

    return invoke


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.fixture
def campaigns(postgres: psycopg.Connection) -> psycopg.Connection:
    postgres.execute("INSERT INTO advertiser (name) VALUES ('Acme')")
    for name in ("Spring", "Summer"):
        postgres.execute(
            "INSERT INTO campaign (advertiser_id, name, status, bid_strategy, bid_amount_micros, "
            "daily_budget_nanos, total_budget_nanos, starts_at, timezone, pacing) "
            "VALUES (1, %s, 'active', 'cpm', 1, 1000, 5000, now(), 'UTC', 'even')",
            [name],
        )
    postgres.commit()
    return postgres


@pytest.fixture
def delivered(campaigns: psycopg.Connection) -> psycopg.Connection:
    night = TEN + timedelta(hours=13)
    additions = Additions()
    additions.delivery.update(
        {
            DeliveryKey(TEN, 1, 7, "default"): Delivery(
                bids=10, wins=4, impressions=3, clicks=1, conversions=1, spend_nanos=7_000_001
            ),
            DeliveryKey(night, 1, 8, "other"): Delivery(bids=1),
            DeliveryKey(night, 2, 9, "default"): Delivery(impressions=1, spend_nanos=2_500_000),
        }
    )
    additions.requests.update(
        {
            RequestsKey(TEN, "default", ""): 10,
            RequestsKey(TEN, "default", "no_match"): 25,
            RequestsKey(night, "default", "no_match"): 5,
        }
    )
    additions.candidates.update(
        {
            CandidatesKey(TEN, 1, "default", "won"): Candidacies(
                10, capped=4, cut_micros=10_000_000
            ),
            CandidatesKey(TEN, 1, "default", "frequency_cap"): Candidacies(20),
            CandidatesKey(night, 1, "other", "frequency_cap"): Candidacies(10),
            CandidatesKey(night, 2, "default", "outbid"): Candidacies(3),
            CandidatesKey(TEN, 1, "default", "targeting_country", sampled=True): Candidacies(7),
        }
    )
    Rollups().add(campaigns, additions)
    campaigns.commit()
    return campaigns


@pytest.mark.usefixtures("delivered")
def test_candidates_tell_how_a_campaign_fared(run: Run) -> None:
    rows = rows_of(run("report", "candidates", *PERIOD, "--campaign", "Spring", "-o", "json"))
    shown = [(row["basis"], row["outcome"], row["candidates"], row["share"]) for row in rows]
    assert shown == [
        ("counted", "frequency_cap", 30, 0.75),
        ("counted", "won", 10, 0.25),
        ("sampled", "targeting_country", 7, 1.0),
    ]
    cut = [(row["capped"], row["avg_cut"]) for row in rows]
    assert cut == [(0, None), (4, "2.50"), (0, None)]


def test_losses_are_counted_by_campaign_exchange_and_reason(
    run: Run,
    campaigns: psycopg.Connection,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    make_event: Callable[..., Event],
    append: Callable[..., None],
) -> None:
    lost = {"kind": EventKind.LOSS, "cost_nanos": 0}
    least = (3_000_000, 3_000_001, None)
    for n, micros in enumerate(least):
        append(make_event(f"{n}", **lost, loss_reason=102, min_to_win_micros=micros))
    append(make_event("x", **lost, loss_reason=-1), make_event("y"))
    append(make_event("z", **{**lost, "exchange": "zed"}, loss_reason=102))
    Flusher(pool, stream).drain(100)
    rows = rows_of(run("report", "losses", "--since", "1h", "-o", "json"))
    columns = ("campaign", "exchange", "meaning", "losses", "min_to_win")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("Spring", "default", "lost to a higher bid", 3, "3.000001"),
        ("Spring", "default", "not told", 1, None),
        ("Spring", "zed", "lost to a higher bid", 1, None),
    ]


def test_odd_events_are_reported_with_their_cost_and_the_rule(
    run: Run,
    campaigns: psycopg.Connection,
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    make_event: Callable[..., Event],
    append: Callable[..., None],
) -> None:
    append(make_event("a", odd="above_bid"), make_event("b", odd="above_bid"), make_event("c"))
    Flusher(pool, stream).drain(100)
    [row] = rows_of(run("report", "oddities", "--since", "1h", "-o", "json"))
    assert row == {
        "campaign_id": 1,
        "campaign": "Spring",
        "exchange": "default",
        "oddity": "above_bid",
        "events": 2,
        "cost": "0.005",
        "rule": "the price told is above the bid; booked at the bid",
    }


@pytest.mark.usefixtures("delivered")
def test_a_campaigns_row_has_counts_rates_and_exact_money(run: Run) -> None:
    spring, summer = rows_of(run("report", "performance", *PERIOD, "--output", "json"))
    assert spring == {
        "campaign_id": 1,
        "campaign": "Spring",
        "bids": 11,
        "wins": 4,
        "win_rate": 0.363636,
        "impressions": 3,
        "clicks": 1,
        "ctr": 0.333333,
        "conversions": 1,
        "cvr": 1.0,
        "view_conversions": 0,
        "spend": "0.007000001",
        "spend_nanos": 7_000_001,
        "value": "0.00",
        "value_nanos": 0,
        # 7,000,001 nanos over 3 impressions is 2,333,333.67 micros per 1,000: rounded down.
        "ecpm": "2.333333",
    }
    assert (summer["campaign"], summer["win_rate"], summer["ctr"]) == ("Summer", None, 0.0)


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize(
    ("by", "about"),
    [
        ("exchange", [{"exchange": "default"}, {"exchange": "other"}]),
        ("creative", [{"creative_id": number, "creative": None} for number in (7, 8, 9)]),
        (
            "hour",
            [{"hour": "2026-11-01T11:00:00+01:00"}, {"hour": "2026-11-02T00:00:00+01:00"}],
        ),
        (
            "day",
            [
                {"day": "2026-11-01", "timezone": "Europe/Paris"},
                {"day": "2026-11-02", "timezone": "Europe/Paris"},
            ],
        ),
    ],
)
def test_a_report_has_a_row_for_each_value(
    by: str, about: list[dict[str, object]], run: Run
) -> None:
    found = rows_of(
        run(
            "report", "performance", *PERIOD, "--by", by, "--timezone", "Europe/Paris", "-o", "json"
        )
    )
    assert [{name: row[name] for name in about[0]} for row in found] == about
    assert sum(row["spend_nanos"] for row in found) == 9_500_001


@pytest.mark.usefixtures("delivered")
def test_a_report_can_be_of_one_campaign_by_name(run: Run) -> None:
    (row,) = rows_of(run("report", "performance", *PERIOD, "--campaign", "Summer", "-o", "json"))
    assert row["campaign_id"] == 2


@pytest.mark.usefixtures("delivered")
def test_the_end_of_a_period_is_not_part_of_it(run: Run) -> None:
    args = ("report", "performance", "-o", "json", "--since", "2026-11-01T10:00")
    assert len(rows_of(run(*args, "--until", "2026-11-01T23:00"))) == 1
    assert len(rows_of(run(*args, "--until", "2026-11-01T23:00:01"))) == 2


@pytest.mark.usefixtures("delivered")
def test_a_table_ends_with_totals(run: Run) -> None:
    result = run("report", "performance", *PERIOD)
    last = result.stdout.strip().splitlines()[-1].split()
    assert last[:8] == ["total", "11", "4", "36.36%", "4", "1", "25.00%", "1"]
    assert last[8:] == ["100.00%", "0.009500001", "2.375"]


@pytest.mark.usefixtures("delivered")
def test_csv_has_a_header_and_no_totals(run: Run) -> None:
    result = run("report", "performance", *PERIOD, "--output", "csv")
    found = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["campaign"] for row in found] == ["Spring", "Summer"]
    assert found[0]["spend"] == "0.007000001"


@pytest.mark.usefixtures("postgres")
def test_an_empty_report_says_so_and_succeeds(run: Run) -> None:
    result = run("report", "performance", "--since", "1h", "--output", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert "nothing from" in result.stderr


@pytest.mark.usefixtures("delivered")
def test_requests_are_reported_with_the_reasons_for_no_bid(run: Run) -> None:
    assert rows_of(run("report", "requests", *PERIOD, "--output", "json")) == [
        {"outcome": "bid", "reason": "", "requests": 10, "share": 0.25},
        {"outcome": "no-bid", "reason": "no_match", "requests": 30, "share": 0.75},
    ]


@pytest.mark.usefixtures("postgres")
def test_every_fault_of_a_period_is_told_at_once(run: Run) -> None:
    result = run("report", "performance", "--since", "soon", "--until", "-1h", "--timezone", "Mars")
    assert result.exit_code == 3
    for option in ("--since", "--until", "--timezone"):
        assert option in result.stderr


@pytest.mark.usefixtures("postgres")
def test_a_report_on_an_unknown_campaign_fails_with_not_found(run: Run) -> None:
    assert run("report", "performance", "--campaign", "nobody").exit_code == 5


def test_a_budget_stands_beside_its_ledger(
    run: Run, campaigns: psycopg.Connection, redis_client: redis.Redis
) -> None:
    ledger = (
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        "VALUES ('e', 'campaign', 1, 300, now()), ('e', 'exchange', 1, -300, now())"
    )
    campaigns.execute(ledger)
    campaigns.commit()
    spring = msgspec.convert(
        {
            "id": 1,
            "advertiser_id": 1,
            "name": "Spring",
            "status": "active",
            "bid_strategy": "cpm",
            "bid_amount_micros": 1,
            "daily_budget_nanos": 1000,
            "total_budget_nanos": 5000,
            "starts_at": TEN,
        },
        Campaign,
    )
    Budgets(redis_client).sync(spring, date(2026, 11, 1), Spent(400, 400))
    SteeringStore(redis_client).write({1: Factors(pacing_ppm=250_000)})
    result = run("budget", "show", "Spring", "--output", "json")
    assert json.loads(result.stdout) == {
        "campaign_id": 1,
        "campaign": "Spring",
        "status": "active",
        "budget": "0.000005",
        "available": "0.0000046",
        "reserved": "0.00",
        "spent": "0.0000004",
        "day": "2026-11-01",
        "day_budget": "0.000001",
        "day_available": "0.0000006",
        "day_spent": "0.0000004",
        "late": "0.00",
        "exposed": "0.00",
        "cut": "0.00",
        "late_margin": "0.00",
        "overspend_at_most": "0.00",
        "ledger_spent": "0.0000003",
        "not_flushed": "0.0000001",
        "pacing": "25%",
        "adds_up": True,
    }
    listed = rows_of(run("budget", "list", "--output", "json"))
    assert [(row["campaign"], row["spent"]) for row in listed] == [
        ("Spring", "0.0000004"),
        ("Summer", None),
    ]


@pytest.mark.usefixtures("postgres", "redis_client")
def test_the_budget_of_an_unknown_campaign_is_not_found(run: Run) -> None:
    result = run("budget", "show", "nobody")
    assert result.exit_code == 5
    assert "nobody" in result.stderr


@pytest.mark.usefixtures("postgres")
def test_flush_now_writes_what_waits(
    run: Run, append: Callable[..., None], make_event: Callable[..., Event]
) -> None:
    append(make_event("a"), make_event("a"), make_event("b"))
    waiting = json.loads(run("flush", "now", "--dry-run", "--output", "json").stdout)
    assert waiting["entries"] == 3
    flushed = json.loads(run("flush", "now", "--output", "json").stdout)
    assert flushed == {
        "entries": 3,
        "stored": 2,
        "duplicates": 1,
        "rejected": 0,
        "booked": "0.005",
    }
    status = json.loads(run("flush", "status", "--output", "json").stdout)
    assert (status["entries"], status["unflushed_age_sec"], status["unrelayed_age_sec"]) == (
        0,
        0,
        0,
    )


@pytest.mark.usefixtures("delivered")
def test_rebuilding_rollups_says_what_it_did(run: Run) -> None:
    dry = run("rebuild", "rollups", "--dry-run", "--output", "json")
    assert json.loads(dry.stdout) == {"rows": 0, "written": False}
    args = ("report", "performance", *PERIOD, "--output", "json")
    assert len(rows_of(run(*args))) == 2
    assert run("rebuild", "rollups").exit_code == 0
    # Without events only the bids remain.
    (left,) = rows_of(run(*args))
    assert (left["bids"], left["impressions"]) == (11, 0)
