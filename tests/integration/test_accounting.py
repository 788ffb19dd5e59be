"""Advertisers' money in the ledger: deposits, corrections, fees, and what is refused."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import psycopg
import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from adctl.config import Settings
    from adctl.stores.endpoints import Endpoints


@pytest.fixture
def adctl(
    settings: Settings,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
) -> Callable[..., Result]:
    env = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        "ADCTL_ACTOR": "ann",
    }

    def run(line: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, shlex.split(line), input=answer, env=env, prog_name="adctl")

    assert run("advertiser create --name Acme").exit_code == 0
    return run


def balance(adctl: Callable[..., Result]) -> str:
    return str(json.loads(adctl("advertiser show Acme --output json").stdout)["balance"])


def entries(postgres: psycopg.Connection) -> list[tuple[object, ...]]:
    postgres.rollback()
    return postgres.execute(
        "SELECT kind, account, amount_nanos FROM ledger_entry ORDER BY id"
    ).fetchall()


def test_a_deposit_moves_cash_to_the_advertiser(
    adctl: Callable[..., Result], postgres: psycopg.Connection
) -> None:
    done = adctl("advertiser deposit Acme 500.000000001 --reference bank-1")
    assert (done.exit_code, balance(adctl)) == (0, "500.000000001")
    assert "whose balance is now 500.000000001" in done.stderr
    assert entries(postgres) == [
        ("deposit", "advertiser", -500_000_000_001),
        ("deposit", "cash", 500_000_000_001),
    ]


def test_a_deposit_with_the_same_reference_again_changes_nothing_and_says_so(
    adctl: Callable[..., Result],
) -> None:
    adctl("advertiser deposit Acme 500 --reference bank-1")
    again = adctl("advertiser deposit Acme 500.00 --reference bank-1")
    assert (again.exit_code, balance(adctl)) == (0, "500.00")
    assert "was booked already" in again.stderr


def test_a_reference_booked_with_another_amount_is_a_conflict(
    adctl: Callable[..., Result],
) -> None:
    adctl("advertiser deposit Acme 500 --reference bank-1")
    other = adctl("advertiser deposit Acme 600 --reference bank-1")
    assert (other.exit_code, balance(adctl)) == (6, "500.00")
    assert "booked already, with 500.00" in other.stderr


def test_two_advertisers_may_have_the_same_reference(adctl: Callable[..., Result]) -> None:
    adctl("advertiser create --name Other")
    assert adctl("advertiser deposit Acme 5 --reference 1").exit_code == 0
    assert "booked for Other" in adctl("advertiser deposit Other 6 --reference 1").stderr


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("-5", "an amount above 0"),
        ("0", "an amount above 0"),
        ("-0.00", "an amount above 0"),
        ("1000000000.01", "at most 1,000,000,000"),
        ("9" * 30, "at most 1,000,000,000"),
        ("9" * 60, "a decimal number"),
        ("NaN", "a decimal number"),
        ("Infinity", "a decimal number"),
        ("1e999", "a decimal number"),
        ("1e2", "a decimal number"),
        ("0x10", "a decimal number"),
        ("1_000", "a decimal number"),
        ("1,50", "a decimal number"),
        ("\u0665", "a decimal number"),
        ("0.0000000001", "at most 9 decimal places"),
        ("''", "a decimal number"),
        ("' '", "a decimal number"),
        ("$5", "a decimal number"),
    ],
)
def test_an_amount_that_is_none_is_refused_with_what_would_be_right(
    amount: str, expected: str, adctl: Callable[..., Result]
) -> None:
    for line in (
        f"advertiser deposit Acme {amount} --reference r",
        f"advertiser correct Acme --charge {amount} --reason r --yes",
    ):
        bad = adctl(line)
        assert bad.exit_code == 3, bad.output
        assert expected in bad.stderr
    assert balance(adctl) == "0.00"


def test_all_that_is_wrong_with_a_deposit_is_said_at_once(adctl: Callable[..., Result]) -> None:
    bad = adctl("advertiser deposit Acme x")
    assert bad.exit_code == 3
    assert "\n  amount: " in bad.stderr
    assert "\n  reference: " in bad.stderr


def test_an_option_of_deposit_that_is_misspelt_is_no_amount(adctl: Callable[..., Result]) -> None:
    assert adctl("advertiser deposit Acme 5 --referense r").exit_code == 2


def test_a_deposit_for_nobody_is_not_found(adctl: Callable[..., Result]) -> None:
    assert adctl("advertiser deposit Nobody 5 --reference r").exit_code == 5


def test_a_dry_run_books_nothing(
    adctl: Callable[..., Result], postgres: psycopg.Connection
) -> None:
    for line in ("deposit Acme 5 --reference r", "correct Acme --credit 5 --reason r"):
        done = adctl(f"advertiser {line} --dry-run")
        assert (done.exit_code, "nothing was written" in done.stderr) == (0, True)
    assert entries(postgres) == []


def test_a_correction_keeps_its_reason_and_who_made_it(
    adctl: Callable[..., Result], postgres: psycopg.Connection
) -> None:
    assert (
        adctl("advertiser correct Acme --credit 12.5 --reason 'bots in May' --yes").exit_code == 0
    )
    assert adctl("advertiser correct Acme --charge 2 --reason setup --yes").exit_code == 0
    assert balance(adctl) == "10.50"
    vouchers = postgres.execute("SELECT kind, amount_nanos, reason, actor FROM voucher ORDER BY id")
    assert vouchers.fetchall() == [
        ("correction", 12_500_000_000, "bots in May", "ann"),
        ("correction", -2_000_000_000, "setup", "ann"),
    ]
    assert "bots in May" in adctl("advertiser history Acme").stdout


def test_a_correction_asks_first_and_says_what_it_comes_to(adctl: Callable[..., Result]) -> None:
    asked = adctl("advertiser correct Acme --charge 5 --reason r", answer="n\n")
    assert (asked.exit_code, balance(adctl)) == (6, "0.00")
    assert "Change the balance of Acme by -5.00, to -5.00?" in asked.stderr


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ("--credit 5 --charge 5 --reason r", "credit"),
        ("--reason r", "credit"),
        ("--credit 5", "reason"),
        ("--credit 5 --reason ''", "reason"),
    ],
)
def test_a_correction_is_one_amount_and_a_reason(
    options: str, field: str, adctl: Callable[..., Result]
) -> None:
    bad = adctl(f"advertiser correct Acme {options} --yes")
    assert bad.exit_code == 3
    assert f"\n  {field}: " in bad.stderr


def test_a_correction_without_somebody_who_makes_it_is_refused(
    adctl: Callable[..., Result],
) -> None:
    assert adctl("advertiser correct Acme --credit 5 --reason r --yes --actor ''").exit_code == 3


@pytest.mark.parametrize("percent", ["-1", "100.0001", "1e1", "15%", "0.00001", "", "NaN", "015 "])
def test_a_fee_is_a_percentage(percent: str, adctl: Callable[..., Result]) -> None:
    bad = adctl(f"advertiser update Acme --fee-percent '{percent}'")
    assert bad.exit_code == 3
    assert "fee_percent" in bad.stderr


def test_a_fee_is_shown_as_it_was_given(adctl: Callable[..., Result]) -> None:
    for percent in ("15", "12.5", "0.0001", "100", "0"):
        adctl(f"advertiser update Acme --fee-percent {percent}")
        shown = json.loads(adctl("advertiser show Acme --output json").stdout)
        assert shown["fee_percent"] == percent


def test_an_advertiser_is_made_prepaid_and_postpaid_again(adctl: Callable[..., Result]) -> None:
    for option, prepaid in (("--prepaid", True), ("--postpaid", False)):
        assert adctl(f"advertiser update Acme {option}").exit_code == 0
        shown = json.loads(adctl("advertiser show Acme --output json").stdout)
        assert shown["prepaid"] is prepaid


CASH = ("t", "cash", "deposit", None, None, 5)
OTHER_SIDES = {
    "none": (),
    "too little": [("t", "advertiser", "deposit", 1, None, -4)],
    "of another transaction": [("u", "advertiser", "deposit", 1, None, -5)],
    "an advertiser's without one": [("t", "advertiser", "deposit", None, None, -5)],
    "a campaign's without one": [("t", "campaign", "spend", None, None, -5)],
    "a campaign's that is no spend": [("t", "campaign", "fee", None, 1, -5)],
    "an account that is none": [("t", "wallet", "deposit", 1, None, -5)],
    "nothing": [("t", "fee", "deposit", 1, None, 0), ("t", "fee", "deposit", 1, None, -5)],
}


@pytest.mark.parametrize("sides", OTHER_SIDES.values(), ids=OTHER_SIDES)
def test_the_database_refuses_a_transaction_whose_other_side_is(
    sides: list[tuple[object, ...]], adctl: Callable[..., Result], postgres: psycopg.Connection
) -> None:
    rows = [CASH, *sides]
    with pytest.raises((psycopg.errors.RaiseException, psycopg.errors.CheckViolation)):
        postgres.execute(
            "INSERT INTO ledger_entry (transaction, account, kind, advertiser_id, campaign_id, "
            "amount_nanos, occurred_at) VALUES "
            + ", ".join(["(%s, %s, %s, %s, %s, %s, now())"] * len(rows)),
            [value for row in rows for value in row],
        )


def test_the_database_refuses_an_unbalanced_copy(postgres: psycopg.Connection) -> None:
    columns = "transaction, account, kind, amount_nanos, occurred_at"
    with (
        pytest.raises(psycopg.errors.RaiseException),
        postgres.cursor() as cursor,
        cursor.copy(f"COPY ledger_entry ({columns}) FROM STDIN") as copy,
    ):
        copy.write_row(("t", "cash", "deposit", 5, "now"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET amount_nanos = 1",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry",
        "UPDATE voucher SET reason = 'x'",
        "DELETE FROM voucher",
        "TRUNCATE voucher",
        "UPDATE ledger_balance SET amount_nanos = 0",
        "DELETE FROM ledger_balance",
        "TRUNCATE ledger_balance",
        "INSERT INTO ledger_balance VALUES ('cash', 0, 1)",
    ],
)
def test_nothing_that_is_booked_can_be_changed(
    statement: str, adctl: Callable[..., Result], postgres: psycopg.Connection
) -> None:
    adctl("advertiser deposit Acme 500 --reference bank-1")
    with pytest.raises(psycopg.errors.RaiseException):
        postgres.execute(statement)
