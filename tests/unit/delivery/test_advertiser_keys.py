from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.advertiser_keys import KEY_FORM, AdvertiserKeys, older_key_of
from adctl.errors import ForgedTokenError

if TYPE_CHECKING:
    from collections.abc import Callable

USER_KEY, SIGNING = bytes(32), {3: bytes([3] * 32)}
# What earlier versions made of that signing key.
_GIVEN_OUT = "7.3.ReoX_0hrUAQs1Vec3dCU9g"


@given(st.integers(1, 2**31 - 1), st.integers(1, 32_767))
def test_a_key_proves_its_advertiser_whatever_keys_sign(advertiser_id: int, number: int) -> None:
    key = AdvertiserKeys(USER_KEY, SIGNING).key_of(advertiser_id, number)
    assert KEY_FORM.fullmatch(key)
    assert AdvertiserKeys(USER_KEY, {9: bytes([9] * 32)}).verify(key) == advertiser_id


@given(st.integers(1, 2**31 - 1))
def test_a_key_of_the_older_way_counts_while_its_signing_key_does(advertiser_id: int) -> None:
    key = older_key_of(3, SIGNING[3], advertiser_id)
    assert KEY_FORM.fullmatch(key)
    keys = AdvertiserKeys(USER_KEY, SIGNING)
    assert keys.verify(key) == advertiser_id
    keys.hold({4: bytes(32)})
    with pytest.raises(ForgedTokenError):
        keys.verify(key)


def test_a_key_that_earlier_versions_gave_out_still_counts() -> None:
    assert AdvertiserKeys(USER_KEY, SIGNING).verify(_GIVEN_OUT) == 7


@pytest.mark.parametrize(
    "changed",
    [
        lambda key: key.replace("7.", "8.", 1),
        lambda key: key.replace(".p1.", ".p2."),
        lambda key: key.replace(".p1.", ".1."),
        lambda key: key.replace(".p1.", ".3."),
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key + "A",
        lambda key: key[:-1],
        lambda key: f"\u0667{key[1:]}",
        lambda key: "",
        lambda key: "7.p99999999999." + key[-22:],
    ],
)
def test_a_changed_key_proves_nothing(changed: Callable[[str], str]) -> None:
    keys = AdvertiserKeys(USER_KEY, SIGNING)
    with pytest.raises(ForgedTokenError):
        keys.verify(changed(keys.key_of(7)))


def test_a_retired_key_does_not_count_and_its_advertisers_other_does() -> None:
    keys = AdvertiserKeys(USER_KEY)
    keys.retired = frozenset({"7.p1"})
    with pytest.raises(ForgedTokenError, match="retired"):
        keys.verify(keys.key_of(7, 1))
    assert keys.verify(keys.key_of(7, 2)) == 7
    assert keys.verify(keys.key_of(17, 1)) == 17


def test_what_was_used_is_told_once_and_a_forged_key_is_not() -> None:
    keys = AdvertiserKeys(USER_KEY, SIGNING)
    keys.verify(keys.key_of(7))
    keys.verify(older_key_of(3, SIGNING[3], 8))
    with pytest.raises(ForgedTokenError):
        keys.verify(AdvertiserKeys(bytes([1] * 32)).key_of(9))
    assert keys.take_used() | keys.take_used() == {"7.p1", "8.3"}
    assert keys.take_used() | keys.take_used() == set()
