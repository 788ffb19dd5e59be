from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import Rates, parse_rates
from adctl.errors import ConfigError
from adctl.money import MAX_CPM_MICROS

RATES = Rates("USD", {"EUR": Decimal("1.1"), "JPY": Decimal("0.0066")})


@pytest.mark.parametrize(
    ("micros", "currency", "expected"),
    [
        (1_000_000, "USD", 1_000_000),
        (1_000_000, None, 1_000_000),
        (1_000_000, "EUR", 1_100_000),
        (1_000_000, "eur", 1_100_000),
        (1_000_000_000, "JPY", 6_600_000),
        (1, "JPY", 1),
        (1_000_001, "EUR", 1_100_002),
        (0, "XYZ", 0),
        (-5, "XYZ", 0),
        (1, "XYZ", None),
        (MAX_CPM_MICROS + 1, "JPY", MAX_CPM_MICROS + 1),
        (MAX_CPM_MICROS, "EUR", MAX_CPM_MICROS + 1),
    ],
)
def test_price_is_worth_in_our_currency(
    micros: int, currency: str | None, expected: int | None
) -> None:
    assert RATES.to_account_micros(micros, currency) == expected


def test_amount_without_a_currency_is_not_in_ours_but_in_dollars() -> None:
    assert Rates("EUR").to_account_micros(1, None) is None
    assert Rates("EUR", {"USD": Decimal("0.5")}).to_account_micros(10, None) == 5


@given(
    st.integers(0, MAX_CPM_MICROS),
    st.decimals("0.000000000000000001", "100000", places=18, allow_nan=False),
)
def test_converted_floor_is_never_under_the_real_one(micros: int, price: Decimal) -> None:
    converted = Rates("USD", {"EUR": price}).to_account_micros(micros, "EUR")
    assert converted is not None
    exact_times_10_18 = micros * int(price * 10**18)
    assert converted * 10**18 >= min(exact_times_10_18, (MAX_CPM_MICROS + 1) * 10**18)
    assert (converted - 1) * 10**18 < exact_times_10_18 or converted == 0


def test_file_says_what_one_unit_is_worth() -> None:
    rates = parse_rates('EUR = "1.0840"\nJPY = "0.0066"\nUSD = "1"\n', "USD")
    assert rates.to_account_micros(1_000_000, "EUR") == 1_084_000
    assert len(rates) == 3


def test_empty_file_knows_our_currency_alone() -> None:
    assert len(parse_rates("", "USD")) == 1


def test_every_fault_of_a_file_is_told_at_once() -> None:
    text = 'EUR = 1.08\neur = "1"\nGBP = "0"\nJPY = "-1"\nCHF = "1e3"\nUSD = "2"\nSEK = "0.09"\n'
    with pytest.raises(ConfigError) as raised:
        parse_rates(text, "USD")
    assert {fault.field for fault in raised.value.faults} == {
        "EUR",
        "eur",
        "GBP",
        "JPY",
        "CHF",
        "USD",
    }


def test_file_that_is_no_toml_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="TOML"):
        parse_rates("EUR: 1.08", "USD")
