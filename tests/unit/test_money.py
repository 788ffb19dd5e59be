from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.money import (
    MAX_AMOUNT_NANOS,
    MAX_CLEARING_MICROS,
    MAX_CPM_MICROS,
    NANOS_PER_UNIT,
    AmountError,
    floor_to_micros,
    format_micros,
    format_nanos,
    parse_clearing_price,
    parse_micros,
    parse_nanos,
    read_decimal,
    round_nanos,
)


def test_amount_keeps_every_nano() -> None:
    assert parse_nanos("12.000000001") == 12_000_000_001


def test_amount_finer_than_a_nano_is_refused_not_rounded() -> None:
    with pytest.raises(AmountError, match="9 decimal places"):
        parse_nanos("0.0000000001")


@pytest.mark.parametrize(
    "text", ["NaN", "inf", "-Infinity", "", "abc", "1,5", "0x10", "1e999", "1" * 50]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountError):
        parse_nanos(text)


def test_amount_beyond_the_bound_is_refused() -> None:
    with pytest.raises(AmountError, match="at most"):
        parse_nanos(str(MAX_AMOUNT_NANOS // NANOS_PER_UNIT + 1))


@given(st.integers(-MAX_AMOUNT_NANOS, MAX_AMOUNT_NANOS))
def test_any_amount_survives_being_shown_and_read_again(nanos: int) -> None:
    assert parse_nanos(format_nanos(nanos)) == nanos


@given(st.integers(-MAX_CPM_MICROS, MAX_CPM_MICROS))
def test_any_price_survives_being_shown_and_read_again(micros: int) -> None:
    assert parse_micros(format_micros(micros)) == micros


def test_shown_amounts_have_two_places_and_no_more_than_they_need() -> None:
    assert [format_nanos(n) for n in (0, 2_000_000_000, -1_500_000_000, 1)] == [
        "0.00",
        "2.00",
        "-1.50",
        "0.000000001",
    ]


def test_floor_is_rounded_up_so_that_meeting_it_is_enough() -> None:
    assert floor_to_micros(Decimal("0.0000001")) == 1


@pytest.mark.parametrize("floor", ["1e308", "Infinity", "1e999", "1e999999", "NaN"])
def test_absurd_floor_is_above_any_bid(floor: str) -> None:
    assert floor_to_micros(Decimal(floor)) > MAX_CPM_MICROS


@pytest.mark.parametrize(
    "text",
    ["", "AUDIT", "${AUCTION_PRICE}", "-1", "-0.0", "nan", "inf", "0x10", "1_0", "1,5", "9" * 41],
)
def test_what_is_no_price_is_unpriced(text: str) -> None:
    assert parse_clearing_price(text) is None


@pytest.mark.parametrize(
    ("text", "micros"),
    [("2.35", 2_350_000), ("0", 0), ("1.9999999", 1_999_999), ("1e999", MAX_CLEARING_MICROS)],
)
def test_told_price_is_read_rounded_down_and_bounded(text: str, micros: int) -> None:
    assert parse_clearing_price(text) == micros


@pytest.mark.parametrize(
    ("nanos", "currency", "payable"),
    [
        (9_007_999_999, "USD", "9.01"),
        (5_000_000, "EUR", "0.01"),
        (4_999_999, "EUR", "0.00"),
        (-5_000_000, "EUR", "-0.01"),
        (1_499_999_999, "JPY", "1"),
        (1_500_000_000, "JPY", "2"),
        (1_000_500_000, "KWD", "1.001"),
        (10**40 + 5_000_000, "USD", f"{10**31}.01"),
    ],
)
def test_what_is_payable_is_in_the_currency_s_smallest_unit(
    nanos: int, currency: str, payable: str
) -> None:
    assert round_nanos(nanos, currency) == payable


NOT_ASCII_DIGITS = [
    chr(code) for code in range(128, 0x110000) if chr(code).isdigit() or chr(code).isnumeric()
]


@given(
    st.text("0123456789", min_size=1, max_size=8),
    st.sampled_from([*NOT_ASCII_DIGITS, "_"]),
    st.integers(0, 8),
    st.booleans(),
)
def test_number_has_the_digits_of_ascii_and_nothing_between_them(
    digits: str, other: str, place: int, fraction: bool
) -> None:
    whole = digits[:place] + other + digits[place:]
    text = f"1.{whole}" if fraction else whole
    assert read_decimal(text) is None
    assert parse_clearing_price(text) is None
    for parse in (parse_nanos, parse_micros):
        with pytest.raises(AmountError):
            parse(text)
