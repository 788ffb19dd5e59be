import hmac
from base64 import b64encode, urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.price_macro import PriceKeys, price_reader

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
UNPRICED = ["", "AUDIT", "${AUCTION_PRICE}", "-1", "nonsense", "é", "A" * 500]


@pytest.mark.parametrize(("text", "cpm_micros"), EXAMPLES.items())
def test_published_examples_are_decrypted(text: str, cpm_micros: int) -> None:
    assert price_reader("encrypted", KEYS)(text) == cpm_micros
    assert price_reader("encrypted", KEYS)(text + "==") == cpm_micros


@given(st.integers(0, 37), st.sampled_from("ABCxyz019-_"))
def test_changed_price_is_unpriced(at: int, letter: str) -> None:
    text = next(iter(EXAMPLES))
    changed = text[:at] + letter + text[at + 1 :]
    # The last letter holds two bits nobody reads.
    if urlsafe_b64decode(changed + "==") != urlsafe_b64decode(text + "=="):
        assert price_reader("encrypted", KEYS)(changed) is None


def test_price_with_a_plus_that_became_a_space_is_decrypted() -> None:
    vector = b"\xfb" * 16
    price = (1_250_000).to_bytes(8)
    pad = hmac.digest(KEYS.encryption, vector, "sha1")
    secret = bytes(one ^ other for one, other in zip(price, pad, strict=False))
    proof = hmac.digest(KEYS.integrity, price + vector, "sha1")[:4]
    text = b64encode(vector + secret + proof).decode()
    assert "+" in text
    for sent in (text, text.replace("+", " ")):
        assert price_reader("encrypted", KEYS)(sent) == 1_250_000


def test_price_under_other_keys_is_unpriced() -> None:
    other = PriceKeys(KEYS.integrity, KEYS.encryption)
    assert price_reader("encrypted", other)(next(iter(EXAMPLES))) is None


def test_base64_price_is_read() -> None:
    assert price_reader("base64")(b64encode(b"2.35").decode()) == 2_350_000


@pytest.mark.parametrize("encoding", ["plain", "base64", "encrypted"])
@pytest.mark.parametrize("text", UNPRICED)
def test_what_is_no_price_is_unpriced_in_any_writing(encoding: str, text: str) -> None:
    assert price_reader(encoding, KEYS)(text) is None


@given(st.text(max_size=120), st.sampled_from(["plain", "base64", "encrypted"]))
def test_no_text_at_all_is_an_error(text: str, encoding: str) -> None:
    price_reader(encoding, KEYS)(text)


def test_encrypted_prices_need_keys() -> None:
    with pytest.raises(ValueError, match="both keys"):
        price_reader("encrypted")
