from base64 import urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import BidCurrency
from adctl.delivery.tokens import (
    CLOCKS_APART_SEC,
    TOKEN_FORM,
    BidToken,
    Purpose,
    Signer,
    hash_user,
)
from adctl.errors import ExpiredTokenError, ForgedTokenError, FutureTokenError

NEW, OLD = bytes(range(32)), bytes(range(1, 33))
SIGNER = Signer({2: NEW, 1: OLD})
TOKEN = BidToken(
    bid_id="0102030405060708090a0b0c",
    campaign_id=7,
    creative_id=9,
    exchange="default",
    price_cpm_micros=2_000_000,
    bid_at_ms=1_000_000,
    bucket=16,
    user_hash="ab" * 16,
    cap_windows=(3600, 86_400),
)


def text_for(purpose: Purpose, token: BidToken = TOKEN, signer: Signer = SIGNER) -> str:
    return signer.sign(token)[purpose]


@given(
    campaign_id=st.integers(1, 2**32 - 1),
    price=st.integers(1, 2**53),
    exchange=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=40),
    windows=st.lists(st.integers(60, 2_592_000), max_size=8).map(tuple),
    test=st.booleans(),
    quantity_ppm=st.just(1_000_000) | st.integers(1, 2**32 - 1),
    rate=st.none() | st.decimals("0.000001", "999999999999", places=18, allow_nan=False),
    shard=st.integers(0, 255),
)
def test_what_is_signed_comes_back(
    campaign_id: int,
    price: int,
    exchange: str,
    windows: tuple[int, ...],
    test: bool,
    quantity_ppm: int,
    rate: Decimal | None,
    shard: int,
) -> None:
    token = msgspec.structs.replace(
        TOKEN,
        campaign_id=campaign_id,
        price_cpm_micros=price,
        exchange=exchange,
        cap_windows=windows,
        test=test,
        quantity_ppm=quantity_ppm,
        currency=BidCurrency("EUR", rate) if rate else None,
        shard=shard,
    )
    text = text_for(Purpose.CLICK, token)
    assert SIGNER.verify(text, Purpose.CLICK, TOKEN.bid_at_ms, 60) == token


@pytest.mark.parametrize(
    ("price", "quantity_ppm", "test", "reserved"),
    [
        (2_000_000, 1_000_000, False, 2_000_000),
        (2_000_000, 14_200_000, False, 28_400_000),
        (3, 1_500_000, False, 5),
        (3, 1, False, 1),
        (2_000_000, 14_200_000, True, 0),
    ],
)
def test_all_impressions_of_a_display_are_reserved_rounded_up_and_none_of_a_test(
    price: int, quantity_ppm: int, test: bool, reserved: int
) -> None:
    token = msgspec.structs.replace(
        TOKEN, price_cpm_micros=price, quantity_ppm=quantity_ppm, test=test
    )
    assert token.reserved_nanos == reserved


@pytest.mark.parametrize(("purpose", "other"), list(permutations(Purpose, 2)))
def test_token_of_one_purpose_serves_no_other(purpose: Purpose, other: Purpose) -> None:
    with pytest.raises(ForgedTokenError):
        SIGNER.verify(text_for(purpose), other, TOKEN.bid_at_ms, 60)


@given(st.data())
def test_changing_any_bit_of_the_payload_is_noticed(data: st.DataObject) -> None:
    head, _, tag = text_for(Purpose.IMPRESSION).partition(".")
    payload = bytearray(urlsafe_b64decode(head + "=="))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    forged = urlsafe_b64encode(payload).rstrip(b"=").decode() + "." + tag
    with pytest.raises(ForgedTokenError):
        SIGNER.verify(forged, Purpose.IMPRESSION, TOKEN.bid_at_ms, 60)


@given(st.text(max_size=500))
def test_any_text_at_all_is_refused_as_forged(text: str) -> None:
    with pytest.raises(ForgedTokenError):
        SIGNER.verify(text, Purpose.CLICK, 0, 60)


def test_cut_token_is_refused() -> None:
    text = text_for(Purpose.CLICK)
    for length in range(len(text) - 1):
        with pytest.raises(ForgedTokenError):
            SIGNER.verify(text[:length], Purpose.CLICK, TOKEN.bid_at_ms, 60)


def test_token_counts_until_its_last_second() -> None:
    text = text_for(Purpose.CLICK)
    assert SIGNER.verify(text, Purpose.CLICK, TOKEN.bid_at_ms + 60_000, 60) == TOKEN
    with pytest.raises(ExpiredTokenError):
        SIGNER.verify(text, Purpose.CLICK, TOKEN.bid_at_ms + 60_001, 60)


def test_token_counts_from_as_long_before_its_bid_as_clocks_may_differ() -> None:
    text, earliest_ms = text_for(Purpose.CLICK), TOKEN.bid_at_ms - CLOCKS_APART_SEC * 1000
    assert SIGNER.verify(text, Purpose.CLICK, earliest_ms, 60) == TOKEN
    with pytest.raises(FutureTokenError):
        SIGNER.verify(text, Purpose.CLICK, earliest_ms - 1, 60)


def test_older_key_still_verifies_but_does_not_sign() -> None:
    by_old = text_for(Purpose.CLICK, signer=Signer({1: OLD}))
    assert SIGNER.verify(by_old, Purpose.CLICK, TOKEN.bid_at_ms, 60) == TOKEN
    with pytest.raises(ForgedTokenError):
        Signer({1: OLD}).verify(text_for(Purpose.CLICK), Purpose.CLICK, TOKEN.bid_at_ms, 60)


def test_user_hash_depends_on_the_key_and_survives_any_id() -> None:
    assert hash_user(NEW, "u1") != hash_user(OLD, "u1")
    assert len(hash_user(NEW, "\ud800" * 1000)) == 32


@given(st.text(max_size=60))
def test_whatever_is_appended_to_a_token_is_no_part_of_it(appended: str) -> None:
    for purpose, text in zip(Purpose, SIGNER.sign(TOKEN), strict=True):
        assert SIGNER.verify(text + appended, purpose, TOKEN.bid_at_ms, 60) == TOKEN
        assert TOKEN_FORM.match(text + appended)[0] == text  # type: ignore[index]


def test_token_that_is_too_old_to_count_still_proves_its_bid() -> None:
    text = SIGNER.sign(TOKEN)[Purpose.CLICK]
    with pytest.raises(ExpiredTokenError):
        SIGNER.verify(text, Purpose.CLICK, TOKEN.bid_at_ms + 61_000, 60)
    assert SIGNER.proven(text, Purpose.CLICK) == TOKEN
    with pytest.raises(ForgedTokenError):
        SIGNER.proven(text, Purpose.IMPRESSION)
