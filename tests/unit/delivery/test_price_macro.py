import hmac
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal
from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import BidCurrency
from adctl.delivery.macros import ToldMacros
from adctl.delivery.price_macro import MICROS_OF_UNIT, PLAIN_CPM, PriceKeys, price_reader
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import EventKind

# The scheme's published examples.
KEYS = PriceKeys(
    urlsafe_b64decode("skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o="),
    urlsafe_b64decode("arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo="),
)
EXAMPLES = {
    "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw": 100,
    "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA": 1900,
    "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemC32prpWWw": 2700,
}
TOKEN = BidToken(
    bid_id="01" * 12,
    campaign_id=1,
    creative_id=1,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=1_700_000_000_000,
    bucket=1,
)
UNPRICED = ["", "AUDIT", "${AUCTION_PRICE}", "-1", "nonsense", "é", "A" * 500]


@pytest.mark.parametrize(("text", "cpm_micros"), EXAMPLES.items())
def test_published_examples_are_decrypted(text: str, cpm_micros: int) -> None:
    assert price_reader("encrypted", KEYS).charged(text) == cpm_micros
    assert price_reader("encrypted", KEYS).charged(text + "==") == cpm_micros


@given(st.integers(0, 37), st.sampled_from("ABCxyz019-_"))
def test_changed_price_is_unpriced(at: int, letter: str) -> None:
    text = next(iter(EXAMPLES))
    changed = text[:at] + letter + text[at + 1 :]
    # The last letter holds two bits nobody reads.
    if urlsafe_b64decode(changed + "==") != urlsafe_b64decode(text + "=="):
        assert price_reader("encrypted", KEYS).charged(changed) is None


def test_price_with_a_plus_that_became_a_space_is_decrypted() -> None:
    vector = b"\xfb" * 16
    price = (1_250_000).to_bytes(8)
    pad = hmac.digest(KEYS.encryption, vector, "sha1")
    secret = bytes(one ^ other for one, other in zip(price, pad, strict=False))
    proof = hmac.digest(KEYS.integrity, price + vector, "sha1")[:4]
    text = b64encode(vector + secret + proof).decode()
    assert "+" in text
    for sent in (text, text.replace("+", " ")):
        assert price_reader("encrypted", KEYS).charged(sent) == 1_250_000


def test_price_under_other_keys_is_unpriced() -> None:
    other = PriceKeys(KEYS.integrity, KEYS.encryption)
    assert price_reader("encrypted", other).charged(next(iter(EXAMPLES))) is None


def test_base64_price_is_read() -> None:
    assert price_reader("base64").charged(b64encode(b"2.35").decode()) == 2_350_000


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_padding_of_base64_may_be_left_out(padding: str) -> None:
    assert price_reader("base64").charged("Mi4zNQ" + padding) == 2_350_000


@given(st.integers(0, 6), st.text("${}%[].,:#@!*() \t\n\u00e9", min_size=1, max_size=4))
def test_what_has_a_mark_that_base64_has_not_is_unpriced(at: int, mark: str) -> None:
    told = b64encode(b"2.351").decode().rstrip("=")
    if mark.strip(" "):
        assert price_reader("base64").charged(told[:at] + mark + told[at:]) is None


@pytest.mark.parametrize("encoding", ["plain", "base64", "encrypted"])
@pytest.mark.parametrize("text", UNPRICED)
def test_what_is_no_price_is_unpriced_in_any_writing(encoding: str, text: str) -> None:
    assert price_reader(encoding, KEYS).charged(text) is None


@given(st.text(max_size=120), st.sampled_from(["plain", "base64", "encrypted"]))
def test_no_text_at_all_is_an_error(text: str, encoding: str) -> None:
    price_reader(encoding, KEYS).charged(text)


def test_encrypted_prices_need_keys() -> None:
    with pytest.raises(ValueError, match="both keys"):
        price_reader("encrypted")


# What one impression costs in each unit, if "2.5" of it is told; a fraction of a micro is dropped.
CPM_MICROS_OF_2_5 = {
    "cpm": 2_500_000,
    "cpm_cents": 25_000,
    "cpm_micros": 2,
    "impression": 2_500_000_000,
    "impression_micros": 2_500,
}


def written(encoding: str, number: str) -> str:
    if encoding == "encrypted":
        return encrypted(int(number))
    return b64encode(number.encode()).decode() if encoding == "base64" else number


def encrypted(number: int) -> str:
    vector = bytes(range(16))
    pad = hmac.digest(KEYS.encryption, vector, "sha1")
    secret = bytes(one ^ other for one, other in zip(number.to_bytes(8), pad, strict=False))
    proof = hmac.digest(KEYS.integrity, number.to_bytes(8) + vector, "sha1")[:4]
    return urlsafe_b64encode(vector + secret + proof).decode().rstrip("=")


@pytest.mark.parametrize("encoding", ["plain", "base64"])
@pytest.mark.parametrize(("unit", "cpm_micros"), CPM_MICROS_OF_2_5.items())
def test_a_decimal_is_read_in_its_unit(encoding: str, unit: str, cpm_micros: int) -> None:
    read = price_reader(encoding, unit=unit).charged
    assert read(written(encoding, "2.5")) == cpm_micros


@pytest.mark.parametrize("encoding", ["plain", "base64", "encrypted"])
@pytest.mark.parametrize("unit", MICROS_OF_UNIT)
@pytest.mark.parametrize("fee_ppm", [0, 100_000, 333_333])
@pytest.mark.parametrize("currency", [None, BidCurrency("EUR", Decimal("1.1111"))])
@pytest.mark.parametrize("quantity_ppm", [1_000_000, 14_200_000])
@given(number=st.integers(0, 10**9))
def test_every_way_of_telling_a_price_costs_just_that(
    encoding: str,
    unit: str,
    fee_ppm: int,
    currency: BidCurrency | None,
    quantity_ppm: int,
    number: int,
) -> None:
    token = msgspec.structs.replace(
        TOKEN, currency=currency, quantity_ppm=quantity_ppm, price_cpm_micros=10**15
    )
    quantity = str(Decimal(quantity_ppm) / 10**6)
    told = ToldMacros(price=written(encoding, str(number)), quantity=quantity)
    prices = price_reader(encoding, KEYS, unit, fee_ppm)
    kind = EventKind.IMPRESSION
    event = track(token, kind, kind, told, token.bid_at_ms, prices).event
    # The same by fractions, rounded up where an amount is divided.
    cpm_micros = ceil(Fraction(number * MICROS_OF_UNIT[unit]) / (1 - Fraction(fee_ppm, 10**6)))
    worth = ceil(cpm_micros * Fraction(currency.rate)) if currency else cpm_micros
    assert not event.unpriced
    assert event.price_cpm_micros == min(worth, 10**15)
    assert event.cost_nanos == ceil(Fraction(event.price_cpm_micros * quantity_ppm, 10**6))


def test_a_price_that_lacks_a_fee_is_never_booked_above_the_bid() -> None:
    prices = price_reader("plain", fee_ppm=500_000)
    kind = EventKind.IMPRESSION
    event = track(TOKEN, kind, kind, ToldMacros("1.9"), TOKEN.bid_at_ms, prices).event
    assert (event.price_cpm_micros, event.cost_nanos) == (2_000_000, 2_000_000)


@pytest.mark.parametrize(
    ("encoding", "unit", "cpm_micros"),
    [("plain", "cpm_micros", 1_500), ("base64", "cpm_cents", 15_000_000), ("encrypted", "", None)],
)
def test_the_least_price_to_win_is_told_in_the_same_unit_and_never_encoded(
    encoding: str, unit: str, cpm_micros: int | None
) -> None:
    read = price_reader(encoding, KEYS, unit).plain
    assert read("1500") == (1_500_000_000 if cpm_micros is None else cpm_micros)


def test_what_is_usual_is_read_by_the_plainest_of_functions() -> None:
    assert price_reader("plain") == PLAIN_CPM
