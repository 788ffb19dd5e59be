"""Exchanges that tell a price in their own way, from the call to the money."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from adctl.delivery.currency import BidCurrency
from tests.integration.tracker.street import KEY, PRICE, TOKEN_TTL_SEC, url

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.control.daemon_process import DaemonProcess
    from tests.integration.tracker.street import Street

ENCRYPTION, INTEGRITY = bytes(range(1, 33)), bytes(range(2, 34))
PRICE_KEYS = ":".join(urlsafe_b64encode(key).decode() for key in (ENCRYPTION, INTEGRITY))
# A CPM of 3.00 is 0.003 an impression, which is no whole number of that unit.
THREE = {
    "cpm": "3",
    "cpm_cents": "300",
    "cpm_micros": "3000000",
    "impression": "0.003",
    "impression_micros": "3000",
}
FORMS = [
    (encoding, unit)
    for encoding in ("plain", "base64", "encrypted")
    for unit in THREE
    if (encoding, unit) != ("encrypted", "impression")
]


@pytest.fixture(scope="module")
def tracker(own_redis_url: str, start_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    exchanges = {
        f"{encoding}-{unit}": {
            "price_encoding": encoding,
            "price_unit": unit,
            "price_keys": PRICE_KEYS,
        }
        for encoding, unit in FORMS
    }
    exchanges["goog"] = {"preset": "google", "price_keys": PRICE_KEYS}
    exchanges["net"] = {"price_lacks_fee_percent": "25"}
    return start_daemon(
        "tracker",
        ADCTL_REDIS_URL=own_redis_url,
        ADCTL_SIGNING_KEYS=f"3:{KEY.hex()}",
        ADCTL_SIGNING_USER_KEY=KEY.hex(),
        ADCTL_TRACKER_TOKEN_TTL_SEC=str(TOKEN_TTL_SEC),
        ADCTL_API_PORT="1",
        ADCTL_EXCHANGES=json.dumps(exchanges),
    )


def written(encoding: str, number: str) -> str:
    if encoding == "encrypted":
        return encrypted(int(number))
    return urlsafe_b64encode(number.encode()).decode() if encoding == "base64" else number


def encrypted(number: int) -> str:
    vector, price = bytes(16), number.to_bytes(8)
    pad = hmac.digest(ENCRYPTION, vector, "sha1")
    secret = bytes(one ^ other for one, other in zip(price, pad, strict=False))
    proof = hmac.digest(INTEGRITY, price + vector, "sha1")[:4]
    return urlsafe_b64encode(vector + secret + proof).decode().rstrip("=")


@pytest.mark.parametrize(("encoding", "unit"), FORMS)
@pytest.mark.parametrize(("rate", "nanos"), [(None, 1_500_000), ("1.1", 1_650_000)])
def test_a_price_in_any_form_is_booked_at_its_worth(
    street: Street, encoding: str, unit: str, rate: str | None, nanos: int
) -> None:
    currency = BidCurrency("EUR", Decimal(rate)) if rate else None
    # Half of 3.00, where a whole number can say so.
    number = THREE[unit] if unit == "cpm" else format(Decimal(THREE[unit]) / 2, "f")
    told = written(encoding, number)
    bid = street.bid(exchange=f"{encoding}-{unit}", currency=currency)
    street.call(url(bid, "impression", quote(told, safe="")))
    [event] = street.events
    expected = PRICE if unit == "cpm" else nanos
    assert (event.unpriced, event.cost_nanos, street.money.spent) == (False, expected, expected)
    assert event.odd == ("above_bid" if unit == "cpm" else "")


def test_a_price_of_one_impression_in_micros_is_not_booked_at_a_thousandth(street: Street) -> None:
    street.call(url(street.bid(exchange="goog"), "impression", encrypted(1500)))
    [event] = street.events
    assert (event.price_cpm_micros, street.money.spent) == (1_500_000, 1_500_000)


def test_a_price_that_lacks_the_fee_is_booked_with_it_and_not_above_the_bid(street: Street) -> None:
    street.call(url(street.bid(exchange="net"), "impression", "1.2"))
    street.call(url(street.bid(exchange="net"), "impression", "1.9"))
    assert [event.cost_nanos for event in street.events] == [1_600_000, PRICE]
    assert street.money.spent == 1_600_000 + PRICE
