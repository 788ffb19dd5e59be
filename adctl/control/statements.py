"""What an advertiser's balance was made of in a month: movement by movement, or as an invoice.

Months are those of UTC, and an entry belongs to the month in which it was *booked*. So a month that
is over never changes: what is learnt of it later stands in the month that learnt it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.control.lookup import find_advertiser
from adctl.control.plane import ControlPlane, reading
from adctl.errors import Fault, FaultyInputError
from adctl.money import format_nanos, round_nanos
from adctl.stores.ledger import Voucher, read_balances, read_vouchers
from adctl.stores.postgres import load_queries
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from adctl.stores.tables import AdvertiserRow

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_EARLIEST_YEAR = 2000
# No transaction that began in a month is still open this long after its end.
_SETTLED = timedelta(hours=1)

INVOICE_COLUMNS = (
    "item",
    "campaign_id",
    "campaign",
    "reference",
    "reason",
    "actor",
    "impressions",
    "late_impressions",
    "unpriced_impressions",
    "spend",
    "fee",
    "amount",
)

MOVEMENT_COLUMNS = (
    *("at", "kind", "description", "entries", "late", "unpriced", "amount", "balance"),
)

_queries = load_queries("reports/statements.sql")


class Month(NamedTuple):
    """A month of UTC; ``until`` is not part of it."""

    name: str
    since: datetime
    until: datetime


class Movement(msgspec.Struct, frozen=True):
    """What moved a balance: a day's spend or fees of one campaign, or one deposit or correction.

    ``entries`` are the bookings in it, ``late`` and ``unpriced`` how many of those were that.
    """

    at: datetime
    kind: str
    description: str
    amount_nanos: int
    balance_nanos: int
    entries: int = 1
    late: int = 0
    unpriced: int = 0

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, amounts as exact decimals."""
        return {
            "at": self.at,
            "kind": self.kind,
            "description": self.description,
            "entries": self.entries,
            "late": self.late,
            "unpriced": self.unpriced,
            "amount": format_nanos(self.amount_nanos),
            "balance": format_nanos(self.balance_nanos),
        }


class InvoiceLine(msgspec.Struct, frozen=True):
    """What one campaign was charged. ``impressions`` are those that cost something.

    The late ones were billed after their reservation had ended; for the unpriced ones the exchange
    told no price, so that they cost what was bid.
    """

    campaign_id: int
    campaign: str
    impressions: int
    spend_nanos: int
    fee_nanos: int
    late_impressions: int
    late_spend_nanos: int
    unpriced_impressions: int

    @property
    def total(self) -> str:
        """Spend and fee, as an exact decimal."""
        return format_nanos(self.spend_nanos + self.fee_nanos)

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, amounts as exact decimals."""
        return {
            "campaign_id": self.campaign_id,
            "campaign": self.campaign,
            "impressions": self.impressions,
            "spend": format_nanos(self.spend_nanos),
            "fee": format_nanos(self.fee_nanos),
            "total": self.total,
            "late_impressions": self.late_impressions,
            "late_spend": format_nanos(self.late_spend_nanos),
            "unpriced_impressions": self.unpriced_impressions,
        }


class Invoice(msgspec.Struct, frozen=True):
    """An advertiser's month. Every amount is exact but ``payable``, rounded once, from the total.

    ``final`` is whether the month is over, so that nothing in it can change any more.
    """

    advertiser_id: int
    advertiser: str
    month: Month
    currency: str
    final: bool
    opening_nanos: int
    lines: tuple[InvoiceLine, ...]
    vouchers: tuple[Voucher, ...]

    @property
    def spend_nanos(self) -> int:
        """What exchanges charged for the advertiser's campaigns."""
        return sum(line.spend_nanos for line in self.lines)

    @property
    def fee_nanos(self) -> int:
        """What we charge for that."""
        return sum(line.fee_nanos for line in self.lines)

    @property
    def credit_nanos(self) -> int:
        """What corrections give back; below zero, what they charge."""
        return sum(one.amount_nanos for one in self.vouchers if one.kind == "correction")

    @property
    def deposit_nanos(self) -> int:
        """What the advertiser paid in."""
        return sum(one.amount_nanos for one in self.vouchers if one.kind == "deposit")

    @property
    def total_nanos(self) -> int:
        """What the month costs the advertiser."""
        return self.spend_nanos + self.fee_nanos - self.credit_nanos

    @property
    def payable(self) -> str:
        """The total as it can be paid: in the currency's smallest unit."""
        return round_nanos(self.total_nanos, self.currency)

    @property
    def closing_nanos(self) -> int:
        """The balance at the month's end, which is the next month's opening."""
        return self.opening_nanos + self.deposit_nanos - self.total_nanos

    def fields(self) -> dict[str, object]:
        """Return everything a person asks for, amounts as exact decimals."""
        return {
            "advertiser_id": self.advertiser_id,
            "advertiser": self.advertiser,
            "month": self.month.name,
            "timezone": "UTC",
            "final": self.final,
            "currency": self.currency,
            "opening": format_nanos(self.opening_nanos),
            "deposits": format_nanos(self.deposit_nanos),
            "spend": format_nanos(self.spend_nanos),
            "fee": format_nanos(self.fee_nanos),
            "corrections": format_nanos(-self.credit_nanos),
            "total": format_nanos(self.total_nanos),
            "payable": self.payable,
            "closing": format_nanos(self.closing_nanos),
            "campaigns": [line.fields() for line in self.lines],
            "vouchers": [_voucher_fields(one) for one in self.vouchers],
        }

    def rows(self) -> list[dict[str, object]]:
        """Return the same as lines of a table, in the order of INVOICE_COLUMNS."""
        sums = {
            "impressions": sum(line.impressions for line in self.lines),
            "spend": format_nanos(self.spend_nanos),
            "fee": format_nanos(self.fee_nanos),
        }
        return [
            {"item": "opening", "amount": format_nanos(self.opening_nanos)},
            *(_voucher_row(one) for one in self.vouchers if one.kind == "deposit"),
            *(line.fields() | {"item": "campaign", "amount": line.total} for line in self.lines),
            *(_voucher_row(one) for one in self.vouchers if one.kind == "correction"),
            {"item": "total", **sums, "amount": format_nanos(self.total_nanos)},
            {"item": "payable", "amount": self.payable},
            {"item": "closing", "amount": format_nanos(self.closing_nanos)},
        ]


def parse_month(text: str | None, now: datetime) -> Month:
    """Return the month ``2026-11``; the one that is running for None. Raises FaultyInputError."""
    today = now.astimezone(UTC)
    match = _MONTH.fullmatch(f"{today:%Y-%m}" if text is None else text)
    year, month = (int(match[1]), int(match[2])) if match else (0, 0)
    if year < _EARLIEST_YEAR or (year, month) > (today.year, today.month):
        expected = f"a month that has begun, such as {today:%Y-%m}"
        raise FaultyInputError("the statement", [Fault("--month", text, expected)])
    since = datetime(year, month, 1, tzinfo=UTC)
    until = (since + timedelta(days=31)).replace(day=1)
    return Month(f"{year}-{month:02}", since, until)


def movements(plane: ControlPlane, ref: int | str, month: Month) -> list[Movement]:
    """Return what moved a balance, in order, between an opening and a closing line.

    Raises NotFoundError.
    """
    with _one_moment(plane, ref) as (conn, row):
        balance_nanos = _opening(conn, row.id, month)
        charges = _queries.daily_charges(
            conn, advertiser_id=row.id, since=month.since, until=month.until
        )
        moved = [_day_of(*charge) for charge in charges]
        moved += [
            _movement_of(one) for one in read_vouchers(conn, row.id, month.since, month.until)
        ]
    found = [Movement(month.since, "opening", "", 0, balance_nanos, entries=0)]
    for movement in sorted(moved, key=lambda movement: movement.at):
        balance_nanos += movement.amount_nanos
        found.append(msgspec.structs.replace(movement, balance_nanos=balance_nanos))
    return [*found, Movement(month.until, "closing", "", 0, balance_nanos, entries=0)]


def invoice(plane: ControlPlane, ref: int | str, month: Month, now: datetime) -> Invoice:
    """Return an advertiser's month, with a line for each campaign. Raises NotFoundError."""
    with _one_moment(plane, ref) as (conn, row):
        charges = _queries.charges(conn, advertiser_id=row.id, since=month.since, until=month.until)
        return Invoice(
            advertiser_id=row.id,
            advertiser=row.name,
            month=month,
            currency=plane.currency,
            final=month.until + _SETTLED <= now,
            opening_nanos=_opening(conn, row.id, month),
            lines=tuple(_line(*charge) for charge in charges),
            vouchers=tuple(read_vouchers(conn, row.id, month.since, month.until)),
        )


@contextmanager
def _one_moment(
    plane: ControlPlane, ref: int | str
) -> Iterator[tuple[psycopg.Connection, AdvertiserRow]]:
    with reading(plane) as session:
        # Balance and entries have to be of the same moment, or they would not add up.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield psycopg_of(session), find_advertiser(session, ref)


def _opening(conn: psycopg.Connection, advertiser_id: int, month: Month) -> int:
    balance_nanos = read_balances(conn, [advertiser_id])[advertiser_id]
    since = _queries.balance_since(conn, advertiser_id=advertiser_id, since=month.since)
    return balance_nanos - int(since)


def _line(campaign_id: int, campaign: str, *sums: int) -> InvoiceLine:
    # Sums of bigint are numeric in PostgreSQL, which reads as Decimal.
    return InvoiceLine(campaign_id, campaign, *(int(one) for one in sums))


def _day_of(  # one row of daily_charges
    day: datetime,
    kind: str,
    campaign_id: int,
    campaign: str,
    entries: int,
    nanos: int,
    late: int,
    unpriced: int,
) -> Movement:
    at = datetime.combine(day, time.max, UTC).replace(microsecond=0)
    description = f"campaign {campaign_id} ({campaign})"
    return Movement(at, kind, description, int(nanos), 0, entries, late, unpriced)


def _movement_of(voucher: Voucher) -> Movement:
    if voucher.kind == "deposit":
        description = voucher.reference
    else:
        description = f"{voucher.reason} (by {voucher.actor})"
    return Movement(voucher.booked_at, voucher.kind, description, voucher.amount_nanos, 0)


def _voucher_fields(voucher: Voucher) -> dict[str, object]:
    fields = voucher._asdict()
    return fields | {"amount": format_nanos(fields.pop("amount_nanos"))}


def _voucher_row(voucher: Voucher) -> dict[str, object]:
    # An invoice counts what is charged: a credit is less of that.
    deposited = voucher.kind == "deposit"
    shown = voucher.amount_nanos if deposited else -voucher.amount_nanos
    return _voucher_fields(voucher) | {"item": voucher.kind, "amount": format_nanos(shown)}
