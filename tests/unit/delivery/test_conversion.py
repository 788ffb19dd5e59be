from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.conversion import Order, order_digest, read_order, read_order_id, read_value
from adctl.delivery.currency import Rates
from adctl.money import MAX_AMOUNT_NANOS, NANOS_PER_UNIT, format_nanos

RATES = Rates("USD", {"EUR": Decimal("1.25")})
NANOS = NANOS_PER_UNIT


@pytest.mark.parametrize(
    ("told", "value"),
    [
        *(
            ("12.50", "12.5"),
            ("12", "12"),
            (".5", "0.5"),
            ("12.", "12"),
            ("0", "0"),
            (" 12.5 ", "12.5"),
        ),
        *(("12,50", "12.5"), ("12,5", "12.5"), ("0,500", "0.5"), ("12,5000", "12.5")),
        *(("1,299.00", "1299"), ("1.299,00", "1299"), ("1,234,567", "1234567")),
        *(("1.234.567", "1234567"), ("1.234.567,8", "1234567.8"), ("1,234,567.8", "1234567.8")),
        *(
            ("1 299,00", "1299"),
            ("1\u00a0299.00", "1299"),
            ("1\u202f299", "1299"),
            ("1'299.5", "1299.5"),
        ),
        *(("1 299,500", "1299.5"), ("29.990000000000002", "29.990000000"), ("1e3", "1000")),
        *(("-12.50", "-12.5"), ("\u221212,50", "-12.5"), ("1.299", "1.299")),
    ],
)
def test_value_is_read_where_it_can_mean_one_thing_only(told: str, value: str) -> None:
    assert read_value(told) == int(Decimal(value) * NANOS)


@pytest.mark.parametrize(
    "told",
    [
        *("", "1,299", "12,500", "1,29,900", "12 50", "1.299.00", "1,299,00", "12.50.1", "1,2.3,4"),
        *(
            "undefined",
            "NaN",
            "Infinity",
            "1_000",
            "\u0661\u0662",
            "\uff11\uff12",
            "0x10",
            "12.50 EUR",
        ),
        *("$12", "{order_total}", "--1", "- 1", "9" * 30, "1e400", "1" * 70),
    ],
)
def test_value_that_may_mean_another_is_not_read(told: str) -> None:
    assert read_value(told) is None


@given(st.integers(0, MAX_AMOUNT_NANOS), st.sampled_from([",", " ", "\u00a0", "\u202f", "'"]))
def test_grouped_amount_is_read_as_the_plain_one(nanos: int, between: str) -> None:
    whole, _, fraction = format_nanos(nanos).partition(".")
    grouped = f"{int(whole):,}".replace(",", between)
    assert read_value(f"{grouped}.{fraction}") == nanos == read_value(f"{whole}.{fraction}")


@pytest.mark.parametrize(
    ("value", "currency", "order", "left_out"),
    [
        ("12.50", "", Order("A", 12_500_000_000), {}),
        ("12.50", "eur", Order("A", 15_625_000_000, 12_500_000_000, "EUR"), {}),
        ("", "USD", Order("A"), {"value": "empty"}),
        ("", "", Order("A"), {}),
        ("{order_total}", "USD", Order("A"), {"value": "placeholder"}),
        ("undefined", "undefined", Order("A"), {"value": "placeholder", "currency": "placeholder"}),
        ("1,299", "", Order("A"), {"value": "unreadable"}),
        ("-12.50", "", Order("A"), {"value": "negative"}),
        # In what it is nobody knows: never in the account's currency.
        ("12.50", "undefined", Order("A", None, 12_500_000_000), {"currency": "placeholder"}),
        ("12.50", "EURO", Order("A", None, 12_500_000_000), {"currency": "unreadable"}),
        ("12.50", "XXX", Order("A", None, 12_500_000_000), {"currency": "placeholder"}),
    ],
)
def test_conversion_is_told_without_what_cannot_be_read(
    value: str, currency: str, order: Order, left_out: dict[str, str]
) -> None:
    read, found = read_order("A", value, currency, RATES)
    assert read == order
    assert {part.detail: part.reason for part in found} == left_out


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("A17", "A17"),
        (" A  17\t", "A 17"),
        ("Größe-17", "Größe-17"),
        ("Gro\u0308\u00dfe", "Größe"),
        ("x1" * 32, "x1" * 32),
        ("undefined", ""),
        ("${ORDER}", ""),
    ],
)
def test_id_of_an_order_is_kept_as_it_is_told(told: str, kept: str) -> None:
    assert read_order_id(told) == kept


@given(st.text(max_size=200), st.text(max_size=200))
def test_orders_are_one_only_if_their_ids_are(one: str, other: str) -> None:
    kept = read_order_id(one)
    assert len(kept) <= 64
    assert kept == read_order_id(f" {one}\n") == read_order_id(kept)
    assert kept.isprintable()
    if kept and read_order_id(other) == kept:
        assert order_digest(1, read_order_id(other)) == order_digest(1, kept)


@given(st.text("ab\u0007 \u00e4", min_size=65, max_size=200), st.integers(0, 199))
def test_long_ids_that_differ_anywhere_are_two(told: str, place: int) -> None:
    text = "A17" + told.replace(" ", "x")
    at = place % len(text)
    other = text[:at] + "Z" + text[at + 1 :]
    assert read_order_id(text) != read_order_id(other)
    assert read_order_id(text).startswith("A17")
