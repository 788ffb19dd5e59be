"""Floors in other currencies: what a foreign price is in the account's own.

Rates are decimals that an operator keeps in a file; nothing is ever guessed. A currency without a
rate cannot be compared, so what is asked for in it gets no bid.
"""

from __future__ import annotations

import re
import tomllib
from decimal import ROUND_CEILING, Context, Decimal
from typing import TYPE_CHECKING

from adctl.errors import ConfigError, Fault
from adctl.money import MAX_CPM_MICROS

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENRTB_DEFAULT = "USD"
"""What an amount is in whose currency is not told [3.2.4]."""

_CODE = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")
# Wide enough to be exact: 19 digits of micros times 30 of a rate.
_EXACT = Context(prec=64, rounding=ROUND_CEILING)
_ABOVE_ANY_BID = MAX_CPM_MICROS + 1


class Rates:
    """What one unit of each known currency is worth in the account's currency. Immutable."""

    def __init__(self, account: str, prices: Mapping[str, Decimal] | None = None) -> None:
        self.account = account
        self._prices = {**(prices or {}), account: Decimal(1)}

    def __len__(self) -> int:
        return len(self._prices)

    @property
    def current(self) -> Rates:
        """Return itself: rates that never change are their own source."""
        return self

    def to_account_micros(self, micros: int, currency: str | None) -> int | None:
        """Return a price in the account's currency, rounded up; None if there is no rate.

        ``currency`` is an ISO 4217 code in any case; none means OpenRTB's default. 0 is 0 in every
        currency. What is above any bid stays above any bid.
        """
        code = (currency or OPENRTB_DEFAULT).strip().upper()
        if micros <= 0:
            return 0
        price = self._prices.get(code)
        if price is None:
            return None
        if code == self.account:
            return micros
        if micros > MAX_CPM_MICROS:
            return _ABOVE_ANY_BID
        exact = _EXACT.multiply(Decimal(micros), price)
        return min(int(exact.to_integral_value(ROUND_CEILING)), _ABOVE_ANY_BID)


def parse_rates(text: str, account: str, subject: str = "exchange rates") -> Rates:
    """Return the rates in a TOML text: ``EUR = "1.0840"``, one unit's price in ``account``.

    Raises ConfigError with everything that is wrong, said of ``subject``. Numbers without quotes
    are refused: TOML has only binary fractions.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(subject, [Fault("rates_file", "", f"TOML ({exc})")]) from exc
    faults, prices = [], {}
    for code, told in table.items():
        price = _price(told)
        if not _CODE.fullmatch(code):
            faults.append(Fault(code, told, "a currency as three capital letters such as EUR"))
        elif price is None:
            expected = f'the price of one {code} in {account} in quotes, above 0, such as "1.0840"'
            faults.append(Fault(code, told, expected))
        elif code == account and price != 1:
            faults.append(Fault(code, told, f'"1", or no line: amounts are in {account}'))
        else:
            prices[code] = price
    if faults:
        raise ConfigError(subject, faults)
    return Rates(account, prices)


def _price(told: object) -> Decimal | None:
    if not isinstance(told, str) or not _PRICE.fullmatch(told):
        return None
    return Decimal(told) or None
