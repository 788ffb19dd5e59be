"""Statements and invoices on a real ledger: whatever happened, everything adds up to the nano."""

from __future__ import annotations

import csv
import io
import json
import shlex
import uuid
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control import accounting, advertisers, campaigns
from adctl.control.plane import ControlPlane, open_plane
from adctl.control.statements import Invoice, InvoiceLine, invoice, movements, parse_month
from adctl.control.validation import format_percent
from adctl.errors import FaultyInputError
from adctl.money import format_nanos, parse_nanos
from adctl.resources import SQL
from adctl.stores.event_rows import EventRow
from adctl.stores.events import EventStore
from adctl.stores.ledger import read_balances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from adctl.config import Settings
    from adctl.models import Event
    from adctl.stores.endpoints import Endpoints

NOW = datetime.now(UTC)
# All accounts together, and an advertiser's own and its campaigns' with the sign turned.
LEDGER_SUMS = """
    SELECT coalesce(sum(amount_nanos), 0),
           -coalesce(sum(amount_nanos) FILTER (WHERE account IN ('advertiser', 'campaign')
                     AND coalesce(l.advertiser_id, c.advertiser_id) = %s), 0)
    FROM ledger_entry AS l LEFT JOIN campaign AS c ON c.id = l.campaign_id
"""
MONTHS = ("2026-01", "2026-02", "2026-03")


@pytest.fixture
def plane(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[ControlPlane]:
    with open_plane(settings) as plane:
        assert make_advertiser(plane, "Acme") == (1, [1, 2])
        yield plane


def make_advertiser(plane: ControlPlane, name: str) -> tuple[int, list[int]]:
    made = advertisers.create(plane, "ann", {"name": name}).view.id
    fields = {"advertiser": made, "budget": "500", "bid": "2.00"}
    return made, [
        campaigns.create(plane, "ann", {**fields, "name": campaign}).view.id
        for campaign in ("Spring", "Autumn")
    ]


@pytest.fixture
def now_in(postgres: psycopg.Connection) -> Iterator[Callable[[str], None]]:
    """Make the database book everything on the 15th of a month, until the test ends."""

    def set_default(moment: str) -> None:
        for table in ("ledger_entry", "voucher"):
            postgres.execute(f"ALTER TABLE {table} ALTER booked_at SET DEFAULT {moment}")
        postgres.commit()

    yield lambda month: set_default(f"'{month}-15T12:00:00Z'")
    postgres.rollback()
    set_default("now()")


@pytest.fixture
def spend(postgres: psycopg.Connection, make_event: Callable[..., Event]) -> Callable[..., None]:
    """Book events of campaigns, (campaign, nanos) each, in one batch, as the flusher does."""
    store = EventStore()
    store.make_partitions(postgres, [NOW.date()])
    postgres.commit()
    booked: list[str] = []

    def book(*costs: tuple[int, int], **changes: object) -> None:
        batch = []
        for campaign_id, nanos in costs:
            booked.append(f"e{len(booked)}")
            event = make_event(booked[-1], campaign_id=campaign_id, cost_nanos=nanos)
            batch.append(EventRow.of(booked[-1], msgspec.structs.replace(event, **changes)))
        store.store(postgres, batch)
        postgres.commit()

    return book


def of(plane: ControlPlane, month: str, advertiser: int = 1) -> Invoice:
    return invoice(plane, advertiser, parse_month(month, NOW), NOW)


def deposit(plane: ControlPlane, amount: str, reference: str, advertiser: int = 1) -> None:
    fields = {"amount": amount, "reference": reference}
    accounting.deposit(plane, "ann", advertiser, fields)


def correct(plane: ControlPlane, side: str, amount: str, advertiser: int = 1) -> None:
    accounting.correct(plane, "ann", advertiser, {side: amount, "reason": "bots"})


AMOUNTS = st.integers(1, 10**15)
COSTS = st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(1, 10**9)), min_size=1, max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("deposit"), AMOUNTS),
    st.tuples(st.just("credit"), AMOUNTS),
    st.tuples(st.just("charge"), AMOUNTS),
    st.tuples(st.just("spend"), COSTS),
    st.tuples(st.just("fee"), st.integers(0, 10**6)),
    st.tuples(st.just("month"), st.none()),
)


@trying(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14))
def test_whatever_happens_every_sum_is_exact(
    steps: list[tuple[str, object]],
    plane: ControlPlane,
    postgres: psycopg.Connection,
    now_in: Callable[[str], None],
    spend: Callable[..., None],
) -> None:
    advertiser, owned = make_advertiser(plane, uuid.uuid4().hex)
    months, fee_ppm, exact_fee = list(MONTHS), 0, Fraction(0)
    paid = credited = spent = 0
    now_in(months[0])
    for number, (what, how) in enumerate(steps):
        match what, how:
            case "deposit", int(nanos):
                deposit(plane, format_nanos(nanos), str(number), advertiser)
                paid += nanos
            case "credit" | "charge", int(nanos):
                correct(plane, what, format_nanos(nanos), advertiser)
                credited += nanos if what == "credit" else -nanos
            case "spend", list(costs):
                spend(*[(owned[campaign], nanos) for campaign, nanos in costs])
                batch = sum(nanos for _, nanos in costs)
                spent += batch
                exact_fee += Fraction(batch * fee_ppm, 10**6)
            case "fee", int(ppm):
                fee_ppm = ppm
                advertisers.update(plane, "ann", advertiser, {"fee_percent": format_percent(ppm)})
            case _:
                months = months[1:] or months
                now_in(months[0])
    balance = paid + credited - spent - int(exact_fee)
    assert read_balances(postgres, [advertiser]) == {advertiser: balance}
    assert postgres.execute(LEDGER_SUMS, [advertiser]).fetchone() == (0, balance)
    postgres.commit()
    invoices = [of(plane, month, advertiser) for month in MONTHS]
    assert [one.opening_nanos for one in invoices] == [0] + [
        one.closing_nanos for one in invoices[:-1]
    ]
    assert invoices[-1].closing_nanos == balance
    assert sum(one.total_nanos for one in invoices) == paid - balance
    for one in invoices:
        last = movements(plane, advertiser, one.month)[-1]
        assert last.balance_nanos == one.closing_nanos


def test_fees_are_exact_however_spend_is_batched(
    plane: ControlPlane, spend: Callable[..., None]
) -> None:
    advertisers.update(plane, "ann", 1, {"fee_percent": "33.3333"})
    for _ in range(10):
        spend((1, 1), (2, 1))
    this_month = of(plane, f"{NOW:%Y-%m}")
    # 20 nanos at 33.3333% are 6.66666: one line may be ahead, the sum never is.
    assert this_month.fee_nanos == 6
    assert this_month.spend_nanos == 20


def test_no_fee_is_charged_twice_for_an_event_that_comes_twice(
    plane: ControlPlane, postgres: psycopg.Connection, make_event: Callable[..., Event]
) -> None:
    advertisers.update(plane, "ann", 1, {"fee_percent": "10"})
    store = EventStore()
    for _ in range(2):
        store.make_partitions(postgres, [NOW.date()])
        store.store(postgres, [EventRow.of(f"{place}-0", make_event("a")) for place in (1, 2)])
        postgres.commit()
    assert read_balances(postgres, [1]) == {1: -2_750_000}


def test_an_invoice_has_a_line_for_each_campaign_and_flags_what_was_late_or_unpriced(
    plane: ControlPlane, spend: Callable[..., None]
) -> None:
    advertisers.update(plane, "ann", 1, {"fee_percent": "10"})
    spend((1, 1_000), (2, 50))
    spend((1, 200), late=True)
    spend((1, 30), unpriced=True)
    lines = of(plane, f"{NOW:%Y-%m}").lines
    assert lines == (
        InvoiceLine(1, "Spring", 3, 1_230, 123, 1, 200, 1),
        InvoiceLine(2, "Autumn", 1, 50, 5, 0, 0, 0),
    )


def test_a_month_that_is_over_never_changes_even_by_events_of_it(
    plane: ControlPlane, spend: Callable[..., None], now_in: Callable[[str], None]
) -> None:
    now_in("2026-01")
    spend((1, 500))
    january = of(plane, "2026-01")
    now_in("2026-02")
    spend((1, 7), occurred_at_ms=int(datetime(2026, 1, 20, tzinfo=UTC).timestamp() * 1000))
    correct(plane, "credit", "1")
    assert of(plane, "2026-01") == january
    assert of(plane, "2026-02").spend_nanos == 7


def test_movements_have_a_running_balance(
    plane: ControlPlane, spend: Callable[..., None], now_in: Callable[[str], None]
) -> None:
    now_in("2026-01")
    deposit(plane, "10", "before")
    now_in("2026-02")
    deposit(plane, "5", "bank-2")
    correct(plane, "charge", "1")
    spend((1, 2_000_000_000), (1, 500_000_000), late=True)
    moved = movements(plane, "Acme", parse_month("2026-02", NOW))
    shown = [(one.kind, one.description, format_nanos(one.balance_nanos)) for one in moved]
    assert shown == [
        ("opening", "", "10.00"),
        ("deposit", "bank-2", "15.00"),
        ("correction", "bots (by ann)", "14.00"),
        ("spend", "campaign 1 (Spring)", "11.50"),
        ("closing", "", "11.50"),
    ]
    assert (moved[3].entries, moved[3].late) == (2, 2)


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "26-01", "1999-12", "9999-01", "2026-1", "2026-01-01", "x", ""]
)
def test_a_month_that_is_none_or_has_not_begun_is_refused(month: str) -> None:
    with pytest.raises(FaultyInputError, match="--month"):
        parse_month(month, NOW)


def test_the_last_month_of_a_year_ends_with_it() -> None:
    december = parse_month("2025-12", NOW)
    assert december.until == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_month_is_final_once_nothing_begun_in_it_can_be_open(plane: ControlPlane) -> None:
    month = parse_month("2026-01", NOW)
    assert not invoice(plane, 1, month, datetime(2026, 2, 1, 0, 59, tzinfo=UTC)).final
    assert invoice(plane, 1, month, datetime(2026, 2, 1, 1, tzinfo=UTC)).final


@pytest.fixture
def adctl(settings: Settings, endpoints: Endpoints) -> Callable[[str], Result]:
    env = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    return lambda line: CliRunner().invoke(app, shlex.split(line), env=env, prog_name="adctl")


def test_the_invoice_is_exact_and_rounds_once_at_the_end(
    plane: ControlPlane, spend: Callable[..., None], adctl: Callable[[str], Result]
) -> None:
    deposit(plane, "100", "bank-1")
    correct(plane, "credit", "0.001")
    spend((1, 5_004_000_000), (2, 4_004_999_999))
    shown = json.loads(adctl("report statement --advertiser Acme --output json").stdout)
    assert (shown["total"], shown["payable"], shown["closing"]) == (
        "9.007999999",
        "9.01",
        "90.992000001",
    )
    assert [line["total"] for line in shown["campaigns"]] == ["5.004", "4.004999999"]
    assert [one["amount"] for one in shown["vouchers"]] == ["100.00", "0.001"]


def test_the_invoice_s_lines_add_up_in_csv_as_well(
    plane: ControlPlane, spend: Callable[..., None], adctl: Callable[[str], Result]
) -> None:
    deposit(plane, "100", "bank-1")
    correct(plane, "credit", "0.001")
    spend((1, 5_004_000_000), (2, 4_004_999_999))
    text = adctl("report statement --advertiser Acme --output csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    items = [row["item"] for row in rows]
    assert items == [
        *("opening", "deposit", "campaign", "campaign", "correction"),
        *("total", "payable", "closing"),
    ]
    nanos = {
        item: sum(parse_nanos(row["amount"]) for row in rows if row["item"] == item)
        for item in items
    }
    assert nanos["campaign"] + nanos["correction"] == nanos["total"]
    assert nanos["opening"] + nanos["deposit"] - nanos["total"] == nanos["closing"]


def test_an_invoice_of_the_running_month_says_that_it_is_not_final(
    plane: ControlPlane, adctl: Callable[[str], Result]
) -> None:
    assert "not final" in adctl("report statement --advertiser Acme").stderr
    assert "not final" not in adctl("report statement --advertiser 1 --month 2026-01").stderr


def test_a_statement_of_nobody_is_not_found(
    plane: ControlPlane, adctl: Callable[[str], Result]
) -> None:
    assert adctl("report statement --advertiser Nobody").exit_code == 5
    assert adctl("advertiser statement Nobody").exit_code == 5
    assert adctl("advertiser statement Acme --month 2026-13").exit_code == 3


def test_entries_of_an_older_ledger_keep_their_sums(
    endpoints: Endpoints, postgres: psycopg.Connection
) -> None:
    postgres.autocommit = True
    name = f"old_{uuid.uuid4().hex}"
    postgres.execute(f"CREATE DATABASE {name}")
    url = f"{endpoints.postgres_url.removesuffix('/adctl')}/{name}"
    try:
        with psycopg.connect(url) as old:
            for path in sorted((SQL / "migrations").glob("*.sql")):
                if path.stem == "0007_accounts":
                    _fill_old_ledger(old)
                old.execute(path.read_text().encode())
            assert read_balances(old, [1, 2]) == {1: -4_950, 2: -100}
            assert old.execute(LEDGER_SUMS, [1]).fetchone() == (0, -4_950)
            kinds = (
                "SELECT kind, account, count(*), sum(amount_nanos) FROM ledger_entry GROUP BY 1, 2"
            )
            assert sorted(old.execute(kinds)) == [
                ("spend", "campaign", 100, 5_050),
                ("spend", "exchange", 100, -5_050),
            ]
    finally:
        postgres.execute(f"DROP DATABASE {name}")


def _fill_old_ledger(old: psycopg.Connection) -> None:
    old.execute("INSERT INTO advertiser (name) VALUES ('a'), ('b')")
    old.execute(
        "INSERT INTO campaign (advertiser_id, name, status, bid_strategy, bid_amount_micros, "
        "daily_budget_nanos, total_budget_nanos, starts_at, timezone, pacing) "
        "SELECT owner, 'c', 'active', 'cpm', 1, 1, 1, now(), 'UTC', 'even' "
        "FROM (VALUES (1), (2)) AS made (owner)"
    )
    old.execute(
        "INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at) "
        "SELECT 'e' || n, account, CASE n WHEN 100 THEN 2 ELSE 1 END, sign * n, now() "
        "FROM generate_series(1, 100) AS n, "
        "(VALUES ('campaign', 1), ('exchange', -1)) AS side (account, sign)"
    )
