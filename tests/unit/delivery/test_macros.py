from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import BidCurrency, Rates
from adctl.delivery.macros import ToldMacros, left_out
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import Event, EventKind
from adctl.money import MAX_CPM_MICROS, MAX_QUANTITY_PPM, cost_nanos_of

TOKEN = BidToken(
    bid_id="ab" * 12,
    campaign_id=7,
    creative_id=9,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=1_767_225_599_000,
    bucket=16,
)
NOW_MS = TOKEN.bid_at_ms + 5_000
RATES = Rates("USD", {"EUR": Decimal("1.25"), "JPY": Decimal("0.0066")})
IN_EURO = msgspec.structs.replace(TOKEN, currency=BidCurrency("EUR", Decimal("1.1")))
SCREEN = msgspec.structs.replace(TOKEN, quantity_ppm=14_200_000)
UNTOLD = ["", "AUDIT", "${AUCTION_X}", "-1", "nan", "inf", "1_0", "x" * 50, "²", "\0", "é"]


def billed(token: BidToken = TOKEN, rates: Rates | None = RATES, **told: str) -> Event:
    kind = EventKind.IMPRESSION
    return track(token, kind, kind, ToldMacros(**told), NOW_MS, rates=rates).event


@pytest.mark.parametrize("currency", ["", "AUDIT", "${AUCTION_CURRENCY}", "USD", "usd", "$", "E"])
def test_price_is_in_the_bids_currency_unless_another_is_told(currency: str) -> None:
    event = billed(price="1.5", currency=currency)
    assert (event.cost_nanos, event.unpriced) == (1_500_000, False)


def test_price_of_a_bid_in_another_currency_is_converted_at_the_rate_of_the_bid() -> None:
    for currency in ("", "EUR", "eur", "AUDIT"):
        event = billed(IN_EURO, price="1.000001", currency=currency)
        assert (event.cost_nanos, event.unpriced) == (1_100_002, False)


def test_price_in_a_third_currency_is_converted_at_the_rate_of_the_moment() -> None:
    assert billed(price="1", currency="EUR").cost_nanos == 1_250_000
    assert billed(IN_EURO, price="1", currency="USD").cost_nanos == 1_000_000
    assert billed(IN_EURO, price="100", currency="JPY").cost_nanos == 660_000


def test_price_in_a_currency_without_a_rate_is_unpriced_and_billed_as_bid() -> None:
    event = billed(price="0.01", currency="XYZ")
    assert (event.cost_nanos, event.unpriced) == (2_000_000, True)


def test_price_of_many_digits_in_a_weak_currency_is_not_cut() -> None:
    rupiah = BidCurrency("IDR", Decimal("0.0000617"))
    token = msgspec.structs.replace(TOKEN, price_cpm_micros=500_000_000, currency=rupiah)
    assert billed(token, price="2000000").cost_nanos == 123_400_000


@given(
    st.integers(1, MAX_CPM_MICROS),
    st.decimals("0.000001", "100000", places=12, allow_nan=False),
    st.integers(1, MAX_QUANTITY_PPM),
    st.decimals(0, 10**12, allow_nan=False) | st.none(),
    st.decimals(0, 10**6, allow_nan=False) | st.none(),
    st.sampled_from(["", "USD", "EUR", "JPY", "XYZ"]),
)
def test_no_notice_costs_more_than_was_reserved(
    price: int,
    rate: Decimal,
    quantity: int,
    told: Decimal | None,
    told_quantity: Decimal | None,
    currency: str,
) -> None:
    token = msgspec.structs.replace(
        TOKEN, price_cpm_micros=price, quantity_ppm=quantity, currency=BidCurrency("EUR", rate)
    )
    event = billed(
        token,
        price="" if told is None else format(told, "f"),
        quantity="" if told_quantity is None else format(told_quantity, "f"),
        currency=currency,
    )
    assert 0 <= event.cost_nanos <= token.reserved_nanos


@given(st.integers(1, MAX_CPM_MICROS), st.decimals("0.000001", "100000", places=12))
def test_what_was_asked_costs_what_was_reserved_but_for_less_than_a_micro_of_its_currency(
    price: int, rate: Decimal
) -> None:
    token = msgspec.structs.replace(
        TOKEN, price_cpm_micros=price, currency=BidCurrency("EUR", rate)
    )
    cost = billed(token, price=str(Decimal(token.asked_cpm_micros) / 1_000_000)).cost_nanos
    assert 0 <= token.reserved_nanos - cost <= rate


@pytest.mark.parametrize(
    ("quantity", "paid_ppm"),
    [("14.2", 14_200_000), ("7", 7_000_000), ("0.5", 500_000), ("99", 14_200_000)],
)
def test_told_quantity_is_paid_up_to_the_one_that_was_bid_for(quantity: str, paid_ppm: int) -> None:
    event = billed(SCREEN, price="1.5", quantity=quantity)
    assert event.cost_nanos == cost_nanos_of(1_500_000, paid_ppm)
    assert event.price_cpm_micros == 1_500_000


@pytest.mark.parametrize("quantity", [*UNTOLD, "0"])
def test_quantity_that_is_not_told_is_the_one_that_was_bid_for(quantity: str) -> None:
    assert billed(SCREEN, price="1.5", quantity=quantity).cost_nanos == 21_300_000


def test_what_would_have_won_is_recorded_in_the_accounts_currency() -> None:
    event = billed(IN_EURO, min_to_win="2.50", market_bid_ratio="0.8125")
    assert (event.min_to_win_micros, event.market_bid_ratio_ppm) == (2_750_000, 812_500)


def test_floor_of_nothing_would_have_won() -> None:
    assert billed(min_to_win="0").min_to_win_micros == 0


def test_time_of_the_impression_is_recorded_if_it_lies_between_bid_and_notice() -> None:
    assert billed(shown_at=str(NOW_MS - 1000)).shown_at_ms == NOW_MS - 1000
    for never in (TOKEN.bid_at_ms - 1, NOW_MS + 1, 10**39):
        assert billed(shown_at=str(never)).shown_at_ms is None


@pytest.mark.parametrize("text", UNTOLD)
def test_what_makes_no_sense_is_not_told_and_never_zero(text: str) -> None:
    event = billed(price="1.5", min_to_win=text, market_bid_ratio=text, shown_at=text)
    assert event.min_to_win_micros is None
    assert event.market_bid_ratio_ppm is None
    assert event.shown_at_ms is None
    assert event.cost_nanos == 1_500_000


@given(st.fixed_dictionaries({name: st.text(max_size=60) for name in ToldMacros.__struct_fields__}))
def test_no_text_at_all_is_an_error(told: dict[str, str]) -> None:
    for kind in EventKind:
        track(IN_EURO, kind, kind, ToldMacros(**told), NOW_MS, rates=RATES)


OTHER_DIGITS = [chr(code) for code in range(128, 0x110000) if chr(code).isdigit()]


@given(
    st.sampled_from(["price", "loss", "quantity", "min_to_win", "market_bid_ratio", "shown_at"]),
    st.sampled_from([*OTHER_DIGITS, "_"]),
    st.integers(0, 13),
)
def test_number_with_other_digits_than_asciis_is_not_told(
    macro: str, other: str, place: int
) -> None:
    digits = str(TOKEN.bid_at_ms + 9) if macro == "shown_at" else "12"
    text = digits[:place] + other + digits[place + (macro == "shown_at") :]
    kind = EventKind.LOSS if macro == "loss" else EventKind.IMPRESSION

    def event(**told: str) -> Event:
        return track(SCREEN, kind, kind, ToldMacros(**told), NOW_MS, rates=RATES).event

    assert event(**{macro: text}) == event(**{macro: "" if macro != "loss" else "none"})
    assert event(**{macro: digits}) != event()


def test_what_is_told_and_comes_to_nothing_is_said_but_not_what_says_nothing() -> None:
    told = ToldMacros("x1", "", "EURO", "-1", "y2", "1_0", "7")
    found = left_out(told, billed(**msgspec.structs.asdict(told)), TOKEN)
    assert [part.detail for part in found] == [
        *("price", "currency", "quantity", "min_to_win", "market_bid_ratio", "shown_at_ms"),
    ]
    for nothing in ("", "AUDIT", "${AUCTION_PRICE}", "%24%7BAUCTION_PRICE%7D"):
        told = ToldMacros(*[nothing] * 7)
        assert not left_out(told, billed(**msgspec.structs.asdict(told)), TOKEN)


def test_nothing_is_left_out_of_what_is_read() -> None:
    told = ToldMacros("1.5", "102", "EUR", "1", "0.7", "0.5", str(TOKEN.bid_at_ms + 9))
    for kind in EventKind:
        event = track(TOKEN, kind, kind, told, NOW_MS, rates=RATES).event
        assert not left_out(told, event, TOKEN)
