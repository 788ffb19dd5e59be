"""Other currencies: what a foreign price is in the account's own, and bids made in one.

Rates are decimals that an operator keeps in a file; nothing is ever guessed. A currency without a
rate cannot be compared, so what is asked for in it gets no bid.

Roundings always favour what must hold. A floor is rounded up. A bid is rounded down, so that what
it may cost, rounded up again, is never more than what was reserved in the account's currency.
"""

from __future__ import annotations

import re
import tomllib
from decimal import ROUND_CEILING, Context, Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from adctl.config_faults import shown, toml_fault
from adctl.errors import ConfigError, Fault
from adctl.money import MAX_AMOUNT_NANOS, MAX_CPM_MICROS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPENRTB_DEFAULT = "USD"
"""What an amount is in whose currency is not told [3.2.4]."""

_CODE = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")
# Wide enough to be exact: 19 digits of micros times 30 of a rate.
_EXACT = Context(prec=64, rounding=ROUND_CEILING)
_ABOVE_ANY_BID = MAX_CPM_MICROS + 1
# Of a unit worth less than this, a bid might have more digits than a clearing price is read with.
_LEAST_TO_BID_IN = Decimal("0.000001")


class BidCurrency(msgspec.Struct, frozen=True):
    """The currency of a bid, if it is not the account's.

    ``rate`` is what one unit was worth in the account's currency when the bid was made. It goes
    with the bid, so that a later one changes nothing about it.
    """

    code: str
    rate: Decimal

    def asked_micros(self, account_micros: int) -> int:
        """Return a price of the account's in this currency, rounded down to a micro."""
        worth, per = self.rate.as_integer_ratio()
        return account_micros * per // worth

    def reaching_micros(self, account_micros: int) -> int:
        """Return the least price in this currency that is worth ``account_micros``."""
        worth, per = self.rate.as_integer_ratio()
        return -(-account_micros * per // worth)

    def account_micros(self, micros: int) -> int:
        """Return a price of this currency's in the account's, rounded up to a micro.

        ``account_micros(asked_micros(price)) <= price``, whatever the rate and the price.
        """
        worth, per = self.rate.as_integer_ratio()
        return -(-micros * worth // per)


class Rates:
    """What one unit of each known currency is worth in the account's currency. Immutable."""

    bid_currency: BidCurrency | None = None
    """What bids are made in under these rates; None: the account's currency."""

    def __init__(self, account: str, prices: Mapping[str, Decimal] | None = None) -> None:
        self.account = account
        self._prices = {**(prices or {}), account: Decimal(1)}
        self._for_bids: dict[str, RatesForBids] = {}

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
        if micros <= 0:
            return 0
        if currency == self.account:
            return micros
        code = _code(currency)
        price = self._prices.get(code)
        if price is None:
            return None
        if code == self.account:
            return micros
        if micros > MAX_CPM_MICROS:
            return _ABOVE_ANY_BID
        exact = _EXACT.multiply(Decimal(micros), price)
        return min(int(exact.to_integral_value(ROUND_CEILING)), _ABOVE_ANY_BID)

    def to_account_nanos(self, nanos: int, currency: str) -> int | None:
        """Return an amount in the account's currency, rounded down; None if there is no rate.

        Also None where it comes to more than an amount can be.
        """
        price = self._prices.get(currency)
        if price is None:
            return None
        worth, per = price.as_integer_ratio()
        converted = nanos * worth // per
        return converted if converted <= MAX_AMOUNT_NANOS else None

    def for_bids_in(self, currencies: Iterable[str]) -> RatesForBids | None:
        """Return these rates for bids in the first of ``currencies`` that has one, else None."""
        for code in map(_code, currencies):
            if code in self._for_bids:
                return self._for_bids[code]
            rate = self._prices.get(code)
            if rate is not None and code != self.account and rate >= _LEAST_TO_BID_IN:
                found = RatesForBids(self.account, self._prices, BidCurrency(code, rate))
                return self._for_bids.setdefault(code, found)
        return None


class RatesForBids(Rates):
    """The same rates, where the bid will be told in another currency than the account's.

    A bid that meets a floor as converted here still meets it when it has been rounded down in
    ``currency``, at least by a micro of it.
    """

    def __init__(self, account: str, prices: Mapping[str, Decimal], currency: BidCurrency) -> None:
        super().__init__(account, prices)
        self.bid_currency: BidCurrency = currency

    def to_account_micros(self, micros: int, currency: str | None) -> int | None:
        """See Rates. 0 becomes the least that can be bid in the currency."""
        worth = super().to_account_micros(micros, currency)
        if worth is None or worth > MAX_CPM_MICROS:
            return worth
        ours = self.bid_currency
        if _code(currency) == ours.code:
            # At least the floor times the rate, so divided by the rate at least the floor.
            return max(worth, self._least)
        return max(ours.account_micros(ours.reaching_micros(worth)), self._least)

    @cached_property
    def _least(self) -> int:
        return self.bid_currency.account_micros(1) if self.bid_currency.rate > 1 else 0


def parse_rates(text: str, account: str, subject: str = "exchange rates") -> Rates:
    """Return the rates in a TOML text: ``EUR = "1.0840"``, one unit's price in ``account``.

    Raises ConfigError with everything that is wrong, said of ``subject``. Numbers without quotes
    are refused: TOML has only binary fractions.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(subject, [Fault("rates_file", "", toml_fault(exc))]) from None
    faults, prices = [], {}
    for code, told in table.items():
        price = _price(told)
        if not _CODE.fullmatch(code):
            faults.append(
                Fault(
                    str(shown(code)), shown(told), "a currency as three capital letters such as EUR"
                )
            )
        elif price is None:
            expected = f'the price of one {code} in {account} in quotes, above 0, such as "1.0840"'
            faults.append(Fault(code, shown(told), expected))
        elif code == account and price != 1:
            faults.append(Fault(code, shown(told), f'"1", or no line: amounts are in {account}'))
        else:
            prices[code] = price
    if faults:
        raise ConfigError(subject, faults)
    return Rates(account, prices)


def _code(currency: str | None) -> str:
    return (currency or OPENRTB_DEFAULT).strip().upper()


def _price(told: object) -> Decimal | None:
    if not isinstance(told, str) or not _PRICE.fullmatch(told):
        return None
    return Decimal(told) or None
