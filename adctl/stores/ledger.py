"""The ledger as people move and read it. What events book is in events.py.

Every function takes the caller's connection and joins its transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from adctl.stores.postgres import load_queries

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_queries = load_queries("queries/ledger.sql")


class Voucher(NamedTuple):
    """What a person has booked. A positive amount adds to the advertiser's balance."""

    id: int
    kind: Literal["deposit", "correction"]
    amount_nanos: int
    reference: str
    reason: str
    actor: str
    booked_at: datetime


def read_balances(conn: psycopg.Connection, advertiser_ids: Iterable[int]) -> dict[int, int]:
    """Return what each advertiser has paid in less what it was charged, in nanos."""
    rows = _queries.balances(conn, advertiser_ids=list(advertiser_ids))
    return {advertiser_id: int(nanos) for advertiser_id, nanos in rows}


def book_deposit(
    conn: psycopg.Connection, advertiser_id: int, amount_nanos: int, *, reference: str, actor: str
) -> tuple[Voucher, bool]:
    """Book what an advertiser has paid; if its reference was used before, return that instead.

    The second value is whether it was booked now. Two programs that book the same reference at
    once take turns.
    """
    row = _queries.book_voucher(
        conn,
        kind="deposit",
        advertiser_id=advertiser_id,
        amount_nanos=amount_nanos,
        reference=reference,
        reason="",
        actor=actor,
    )
    known = row or _queries.voucher_of(conn, advertiser_id=advertiser_id, reference=reference)
    return Voucher(*known), row is not None


def book_correction(
    conn: psycopg.Connection, advertiser_id: int, amount_nanos: int, *, reason: str, actor: str
) -> Voucher:
    """Book a credit, or a charge if the amount is negative."""
    row = _queries.book_voucher(
        conn,
        kind="correction",
        advertiser_id=advertiser_id,
        amount_nanos=amount_nanos,
        reference="",
        reason=reason,
        actor=actor,
    )
    return Voucher(*row)


def read_vouchers(
    conn: psycopg.Connection, advertiser_id: int, since: datetime, until: datetime
) -> list[Voucher]:
    """Return what people booked for an advertiser from ``since`` to before ``until``, in order."""
    rows = _queries.vouchers(conn, advertiser_id=advertiser_id, since=since, until=until)
    return [Voucher(*row) for row in rows]
