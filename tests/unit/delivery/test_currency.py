from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import BidCurrency, Rates, RatesForBids, parse_rates
from adctl.errors import ConfigError
from adctl.money import MAX_CPM_MICROS

RATES = Rates("USD", {"EUR": Decimal("1.1"), "JPY": Decimal("0.0066")})

rates = st.decimals("0.000001", "1000000", places=18, allow_nan=False)
prices = st.integers(1, MAX_CPM_MICROS)


def rates_for_bids_in(code: str, **known: Decimal) -> RatesForBids:
    found = Rates("USD", known).for_bids_in([code])
    assert found is not None
    return found


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


@pytest.mark.parametrize(
    ("rate", "account", "asked"),
    [("1.1", 1_100_000, 1_000_000), ("1.1", 2_000_000, 1_818_181), ("0.0066", 1, 151)],
)
def test_bid_is_converted_exactly_and_rounded_down_to_a_micro(
    rate: str, account: int, asked: int
) -> None:
    assert BidCurrency("EUR", Decimal(rate)).asked_micros(account) == asked


@given(prices, rates, st.data())
def test_no_price_up_to_the_bid_costs_more_than_was_reserved(
    reserved: int, rate: Decimal, data: st.DataObject
) -> None:
    currency = BidCurrency("EUR", rate)
    told = data.draw(st.integers(0, currency.asked_micros(reserved)))
    assert 0 <= currency.account_micros(told) <= reserved


@given(st.integers(0, 10**12), rates, rates, st.sampled_from(["USD", "EUR", "GBP"]), st.data())
def test_bid_that_meets_a_converted_floor_meets_the_real_one_when_rounded_down(
    floor: int, eur: Decimal, gbp: Decimal, floor_currency: str, data: st.DataObject
) -> None:
    in_euro = rates_for_bids_in("EUR", EUR=eur, GBP=gbp)
    converted = in_euro.to_account_micros(floor, floor_currency)
    assert converted is not None
    if converted > MAX_CPM_MICROS:
        return
    price = data.draw(st.integers(max(1, converted), MAX_CPM_MICROS))
    asked = in_euro.bid_currency.asked_micros(price)
    worth = {"USD": Decimal(1), "EUR": eur, "GBP": gbp}
    in_account, per = (worth[code].as_integer_ratio() for code in ("EUR", floor_currency))
    assert asked >= 1
    assert asked * in_account[0] * per[1] >= floor * per[0] * in_account[1]


def test_floor_in_the_currency_of_the_bid_is_met_by_an_equal_bid() -> None:
    in_yen = rates_for_bids_in("JPY", JPY=Decimal("0.0066"))
    converted = in_yen.to_account_micros(100_000_001, "JPY")
    assert converted == 660_001
    assert in_yen.bid_currency.asked_micros(converted) >= 100_000_001


def test_bid_is_made_in_the_first_currency_that_has_a_rate() -> None:
    found = RATES.for_bids_in(["XYZ", "jpy", "EUR"])
    assert found is not None
    assert found.bid_currency == BidCurrency("JPY", Decimal("0.0066"))
    assert RATES.for_bids_in(["JPY"]) is found


@pytest.mark.parametrize("codes", [[], ["XYZ"], ["ABC"], ["", "USD"]])
def test_no_bid_is_made_in_a_currency_without_a_usable_rate(codes: list[str]) -> None:
    known = {"ABC": Decimal("0.0000009")}
    assert Rates("USD", known).for_bids_in(codes) is None
