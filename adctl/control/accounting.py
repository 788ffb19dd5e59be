"""Advertisers' money as people move it: deposits and corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from adctl.control.advertisers import touch_campaigns
from adctl.control.drafts import VoucherView
from adctl.control.fields import FieldReader
from adctl.control.lookup import find_advertiser
from adctl.control.plane import Change, ControlPlane, Outcome, change
from adctl.delivery.reasons import NO_BALANCE
from adctl.errors import ConflictError
from adctl.money import format_nanos
from adctl.stores.ledger import Voucher, book_correction, book_deposit, read_balances
from adctl.stores.tables import psycopg_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.stores.tables import AdvertiserRow


def deposit(
    plane: ControlPlane,
    actor: str,
    ref: int | str,
    fields: Mapping[str, object],
    *,
    dry_run: bool = False,
) -> Outcome[VoucherView]:
    """Add money that an advertiser has paid to its balance.

    ``fields`` are ``amount`` and ``reference``, which says which payment it is: the same one again
    changes nothing. Raises FaultyInputError with every fault, NotFoundError, and ConflictError if
    the reference was booked with another amount.
    """
    reader = FieldReader(fields)
    reader.only(("amount", "reference"))
    amount_nanos = reader.nanos("amount")
    reference = reader.text("reference", required=True)
    reader.raise_faults("the deposit")
    with change(plane, actor, dry_run=dry_run) as making:
        row = find_advertiser(making.session, ref)
        conn, paid, named = psycopg_of(making.session), int(amount_nanos or 0), str(reference)
        voucher, booked = book_deposit(conn, row.id, paid, reference=named, actor=making.actor)
        if booked:
            _record(making, row, voucher)
        else:
            _require_same(voucher, paid)
        view = _view(making, row, voucher)
    return making.outcome(view)


def correct(
    plane: ControlPlane,
    actor: str,
    ref: int | str,
    fields: Mapping[str, object],
    *,
    dry_run: bool = False,
) -> Outcome[VoucherView]:
    """Credit or charge an advertiser outside the course of business.

    ``fields`` are either ``credit`` or ``charge``, an amount, and the ``reason``, which statements
    show. Raises FaultyInputError with every fault, NotFoundError.
    """
    reader = FieldReader(fields)
    reader.only(("credit", "charge", "reason"))
    side: Literal["credit", "charge"] = "charge" if fields.get("charge") is not None else "credit"
    if fields.get("charge") is not None and fields.get("credit") is not None:
        reader.reject("credit", fields["credit"], "a credit or a charge, not both")
    amount_nanos = reader.nanos(side)
    reason = reader.text("reason", required=True)
    reader.raise_faults("the correction")
    signed = int(amount_nanos or 0) * (1 if side == "credit" else -1)
    with change(plane, actor, dry_run=dry_run) as making:
        row = find_advertiser(making.session, ref)
        conn = psycopg_of(making.session)
        voucher = book_correction(conn, row.id, signed, reason=str(reason), actor=making.actor)
        _record(making, row, voucher)
        view = _view(making, row, voucher)
    return making.outcome(view)


def set_funded(plane: ControlPlane, actor: str, advertiser_id: int, *, funded: bool) -> bool:
    """Stop, or start again, the campaigns of a prepaid advertiser; False if it was so already."""
    with change(plane, actor, dry_run=False) as making:
        row = find_advertiser(making.session, advertiser_id, lock=True)
        if not row.prepaid or row.funded == funded:
            return False
        action = "balance" if funded else NO_BALANCE
        making.record("advertiser", row.id, action, {"funded": row.funded}, {"funded": funded})
        row.funded = funded
        touch_campaigns(making, row, action)
    return True


def _require_same(known: Voucher, paid_nanos: int) -> None:
    if known.amount_nanos != paid_nanos:
        raise ConflictError(
            f"the reference {known.reference} was booked already, with "
            f"{format_nanos(known.amount_nanos)}: give another deposit another reference, "
            "or book a correction"
        )


def _record(making: Change, row: AdvertiserRow, voucher: Voucher) -> None:
    said = {"reference": voucher.reference} if voucher.reference else {"reason": voucher.reason}
    after = {"amount": format_nanos(voucher.amount_nanos), **said}
    making.record("advertiser", row.id, voucher.kind, None, after)


def _view(making: Change, row: AdvertiserRow, voucher: Voucher) -> VoucherView:
    balance_nanos = read_balances(psycopg_of(making.session), [row.id])[row.id]
    return VoucherView(
        id=voucher.id,
        advertiser_id=row.id,
        name=row.name,
        kind=voucher.kind,
        amount=format_nanos(voucher.amount_nanos),
        balance=format_nanos(balance_nanos),
        reference=voucher.reference,
        reason=voucher.reason,
        actor=voucher.actor,
        booked_at=voucher.booked_at,
    )
