"""Money as integers, from a person's decimal to the ledger and back.

Prices are CPM in micros of the account currency (``cpm_micros``), amounts are in nanos
(``cost_nanos``). One impression at a CPM of *p* micros costs exactly *p* nanos: a CPM is the
price of 1,000 impressions and a micro is 1,000 nanos. No function here takes or returns a float.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, ROUND_UP, Context, Decimal, InvalidOperation

MICROS_PER_UNIT = 1_000_000
NANOS_PER_UNIT = 1_000_000_000
NANOS_PER_MICRO = 1_000

# One billion units: a budget that fits 64-bit signed nanos nine times over, so that Redis
# (HINCRBY) and PostgreSQL (bigint) can add a few of them without overflow.
MAX_AMOUNT_NANOS = 1_000_000_000 * NANOS_PER_UNIT
# A CPM of one million units. Below 2**53, so Redis' Lua can compare prices exactly.
MAX_CPM_MICROS = 1_000_000 * MICROS_PER_UNIT

# A trillion units: what a clearing price is read up to. In a currency whose unit is worth little it
# may be far above what a CPM is in the account's.
MAX_CLEARING_MICROS = 1_000_000_000_000 * MICROS_PER_UNIT

# How many impressions one display of an ad is, in millionths: on a screen that many see it is
# several. At most what fits 32 bits, so that amounts stay below 2**53, too.
ONE_IMPRESSION_PPM = 1_000_000
MAX_QUANTITY_PPM = 2**32 - 1


LONGEST_NUMBER = 40
"""As many characters has a number that somebody tells, at most."""

# Of ISO 4217, where they are not two.
# fmt: off
_WHOLE_UNITS = frozenset((
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW",
    "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
))
# fmt: on
_THOUSANDTHS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))
# Sums may have more digits than the 28 that Decimal keeps by itself.
_EXACT = Context(prec=60)


class AmountError(ValueError):
    """A text that is not a usable amount of money; the message says what would be."""


def parse_nanos(text: str) -> int:
    """Return the amount ``text`` (``"12.50"``) in nanos. At most nine decimal places.

    Raises AmountError on anything else: signs and exponents are allowed by Decimal but not
    NaN, infinity, more precision than a nano, or more than MAX_AMOUNT_NANOS.
    """
    return _scaled(text, NANOS_PER_UNIT, MAX_AMOUNT_NANOS)


def parse_micros(text: str) -> int:
    """Return the price ``text`` (``"2.35"``) in micros. At most six decimal places.

    Raises AmountError as parse_nanos does; the bound is MAX_CPM_MICROS.
    """
    return _scaled(text, MICROS_PER_UNIT, MAX_CPM_MICROS)


def read_decimal(text: str) -> Decimal | None:
    """Return the number ``text`` is, blanks around it aside; None if it is none.

    Its digits are ASCII's, of which there are at most 40 with all that belongs to them: Decimal
    would also take those of other scripts, underscores, infinity, and a million digits.
    """
    # Most calls tell nothing, and finding that out from an exception takes as long as a number.
    if not text or len(text) > LONGEST_NUMBER or "_" in text or not text.isascii():
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _scaled(text: str, scale: int, bound: int) -> int:
    amount = read_decimal(text)
    if amount is None or amount.adjusted() > 30:
        raise AmountError("a decimal number such as 12.50")
    scaled = amount * scale
    if scaled != scaled.to_integral_value():
        raise AmountError(f"at most {len(str(scale)) - 1} decimal places")
    if abs(scaled) > bound:
        raise AmountError(f"at most {bound // scale:,}")
    return int(scaled)


def floor_to_micros(price: Decimal) -> int:
    """Return a bid floor in micros, rounded up so that meeting it is never a rounding error.

    A floor beyond MAX_CPM_MICROS (or infinite) becomes MAX_CPM_MICROS + 1: above any bid. So does
    one of more than 30 digits, whatever its sign.
    """
    # Multiplying a number of a million digits overflows, which Decimal raises.
    unusable = not price.is_finite() or price.adjusted() > 30
    if unusable:
        return MAX_CPM_MICROS + 1
    micros = int((price * MICROS_PER_UNIT).to_integral_value(rounding=ROUND_UP))
    return min(micros, MAX_CPM_MICROS + 1)


def cost_nanos_of(cpm_micros: int, quantity_ppm: int) -> int:
    """Return what ``quantity_ppm`` millionths of an impression cost at a CPM, rounded up to a nano.

    decide.lua does the same when it reserves.
    """
    return -(-cpm_micros * quantity_ppm // ONE_IMPRESSION_PPM)


def format_nanos(nanos: int) -> str:
    """Return an amount as an exact decimal: at least two places, no trailing zeros beyond."""
    return _decimal_text(nanos, NANOS_PER_UNIT)


def format_micros(micros: int) -> str:
    """Return a price as an exact decimal: at least two places, no trailing zeros beyond."""
    return _decimal_text(micros, MICROS_PER_UNIT)


def round_nanos(nanos: int, currency: str) -> str:
    """Return an amount in the currency's own smallest unit, half of one rounded away from zero.

    For what is paid, once, at the end; the books are exact. Decimal places as in ISO 4217.
    """
    places = 0 if currency in _WHOLE_UNITS else 3 if currency in _THOUSANDTHS else 2
    unit = Decimal(1).scaleb(-places)
    amount = Decimal(nanos).scaleb(-9, _EXACT)
    return format(amount.quantize(unit, ROUND_HALF_UP, _EXACT), "f")


def _decimal_text(amount: int, scale: int) -> str:
    whole, fraction = divmod(abs(amount), scale)
    places = str(fraction).zfill(len(str(scale)) - 1).rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole}.{places}"


def parse_clearing_price(text: str, unit_micros: int = MICROS_PER_UNIT) -> int | None:
    """Return the price an exchange put for ``${AUCTION_PRICE}`` in cpm micros, or None.

    ``unit_micros`` is how many of them 1 is: a million where it is told in units of the currency.
    None means unpriced: empty, ``AUDIT``, the macro left as it was, or anything that is not a
    price. A fraction of a micro is dropped; a price beyond MAX_CLEARING_MICROS is that bound.
    """
    price = read_decimal(text)
    if price is None or price.is_signed():
        return None
    if price.adjusted() > 30:
        return MAX_CLEARING_MICROS
    # int() drops the fraction.
    return min(int(_EXACT.multiply(price, unit_micros)), MAX_CLEARING_MICROS)
