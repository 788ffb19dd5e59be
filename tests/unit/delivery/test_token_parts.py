import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import BidCurrency
from adctl.delivery.place import MAX_SITE_BYTES, Place
from adctl.delivery.token_parts import PARTS, pack_parts, unpack_parts
from adctl.delivery.tokens import BidToken, Purpose, Signer
from adctl.errors import ForgedTokenError

KEY = bytes(range(32))
SIGNER = Signer({2: KEY})
BARE = BidToken(
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
SAID: dict[str, dict[str, object]] = {
    "test": {"test": True},
    "quantity": {"quantity_ppm": 14_200_000},
    "currency": {"currency": BidCurrency("EUR", Decimal("1.1111"))},
    "place": {"advertiser_id": 3, "place": Place("news.example", "DEU", "4")},
    "click": {"clicked_at_ms": 1_500_000},
    "shard": {"shard": 5},
}
LONGEST = msgspec.structs.replace(
    BARE,
    campaign_id=2**32 - 1,
    exchange="x" * 64,
    cap_windows=tuple(range(2_592_000, 2_592_010)),
    test=True,
    quantity_ppm=2**32 - 1,
    currency=BidCurrency("EUR", Decimal("999999999999.999999999999999999")),
    advertiser_id=2**32 - 1,
    place=Place("s" * MAX_SITE_BYTES, "DEU", "255"),
    clicked_at_ms=2**53,
    shard=255,
)


def every_combination() -> Iterator[tuple[str, BidToken]]:
    for count in range(len(SAID) + 1):
        for names in combinations(SAID, count):
            said = {field: value for name in names for field, value in SAID[name].items()}
            yield " ".join(names), msgspec.structs.replace(BARE, **said)


def signed(payload: bytes) -> str:
    """Return the text of a payload of ours, whatever it holds."""
    tag = hmac.digest(KEY, payload, "sha512")[:16]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (payload, tag))


def test_there_is_one_way_to_say_something_for_each_part() -> None:
    assert len(SAID) == len(PARTS)
    assert [pack_parts(token)[0].bit_count() for _, token in every_combination()] == [
        len(names.split()) for names, _ in every_combination()
    ]


@pytest.mark.parametrize(("names", "token"), list(every_combination()))
def test_every_combination_of_parts_comes_back(names: str, token: BidToken) -> None:
    for purpose, text in zip(Purpose, SIGNER.sign(token), strict=True):
        assert SIGNER.verify(text, purpose, token.bid_at_ms, 3600) == token, names


@given(
    test=st.booleans(),
    quantity_ppm=st.just(1_000_000) | st.integers(1, 2**32 - 1),
    rate=st.none() | st.decimals("0.000001", "999999999999", places=18, allow_nan=False),
    code=st.sampled_from(["EUR", "JPY", "GBP", "KWD"]),
    advertiser_id=st.integers(0, 2**32 - 1),
    site=st.text(max_size=16),
    country=st.sampled_from(["", "DEU", "USA"]),
    device=st.integers(0, 255),
    clicked_at_ms=st.integers(0, 2**53),
    shard=st.integers(0, 255),
)
def test_whatever_the_parts_say_comes_back(
    test: bool,
    quantity_ppm: int,
    rate: Decimal | None,
    code: str,
    advertiser_id: int,
    site: str,
    country: str,
    device: int,
    clicked_at_ms: int,
    shard: int,
) -> None:
    place = Place(site, country, str(device or "")) if advertiser_id else Place()
    token = msgspec.structs.replace(
        BARE,
        test=test,
        quantity_ppm=quantity_ppm,
        currency=BidCurrency(code, rate) if rate else None,
        advertiser_id=advertiser_id,
        place=place,
        clicked_at_ms=clicked_at_ms,
        shard=shard,
    )
    flags, packed = pack_parts(token)
    fields = unpack_parts(flags, packed, 0)
    assert msgspec.structs.replace(BARE, **fields) == token


def test_tokens_of_the_version_before_are_read_as_they_were_meant() -> None:
    # They were written rightly then, and read wrongly behind a currency.
    before = json.loads(Path(__file__).with_name("tokens_before.json").read_text())
    meant = dict(every_combination())
    assert before.keys() == meant.keys()
    for names, text in before.items():
        assert SIGNER.verify(text, Purpose.CONVERSION, BARE.bid_at_ms, 3600) == meant[names], names


@pytest.mark.parametrize(("names", "token"), list(every_combination()))
def test_cut_at_any_byte_a_token_is_refused_even_with_our_signature(
    names: str, token: BidToken
) -> None:
    head, _, _ = SIGNER.sign(token)[0].partition(".")
    payload = urlsafe_b64decode(head + "==")
    whole = SIGNER.verify(signed(payload), Purpose.NOTICE, token.bid_at_ms, 3600)
    assert whole == token
    for length in range(len(payload)):
        with pytest.raises(ForgedTokenError):
            SIGNER.verify(signed(payload[:length]), Purpose.NOTICE, token.bid_at_ms, 3600)


def test_the_longest_token_there_can_be_is_taken() -> None:
    for purpose, text in zip(Purpose, SIGNER.sign(LONGEST), strict=True):
        now_ms = LONGEST.clicked_at_ms
        assert SIGNER.verify(text, purpose, now_ms, 3600) == LONGEST


def test_a_part_of_a_later_version_is_left_out() -> None:
    head, _, _ = SIGNER.sign(BARE)[0].partition(".")
    payload = bytearray(urlsafe_b64decode(head + "=="))
    payload[2] |= 64
    later = signed(bytes(payload) + b"whatever it says")
    assert SIGNER.verify(later, Purpose.NOTICE, BARE.bid_at_ms, 3600) == BARE
