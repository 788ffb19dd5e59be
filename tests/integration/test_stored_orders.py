"""Which conversions PostgreSQL keeps, by what was told of their orders."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from adctl.delivery.conversion import read_order
from adctl.delivery.currency import Rates
from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import track
from adctl.models import EventKind
from adctl.stores.event_rows import EventRow
from adctl.stores.events import EventStore

if TYPE_CHECKING:
    import psycopg

BID = BidToken("0" * 24, 1, 1, "default", 2_000_000, 1_767_225_600_000, 7, advertiser_id=1)
DAY = datetime.fromtimestamp(BID.bid_at_ms / 1000, UTC).date()
VALUES = "SELECT value_nanos, told_value_nanos FROM event ORDER BY bid_id"


def tell(postgres: psycopg.Connection, *told: tuple[str, str, str]) -> list[tuple[int, int]]:
    """Tell a conversion of a click each: its order's id, value and currency."""
    rows = []
    for number, words in enumerate(told, start=1):
        order, _ = read_order(*words, Rates("USD"))
        click = msgspec.structs.replace(BID, bid_id=f"{number:024x}")
        kind = EventKind.CONVERSION
        tracked = track(click, kind, EventKind.BILL, ToldMacros(), BID.bid_at_ms + 1, order=order)
        rows.append(EventRow.of(f"{number}-0", tracked.event))
    store = EventStore()
    with postgres.transaction():
        store.make_partitions(postgres, [DAY])
        store.store(postgres, rows)
    return postgres.execute(VALUES).fetchall()


@pytest.mark.parametrize("order", ["undefined", "null", "{order_id}", "%%ORDER_ID%%", "0", ""])
def test_sales_whose_order_nobody_filled_in_are_all_kept(
    postgres: psycopg.Connection, order: str
) -> None:
    told = tell(postgres, (order, "10", ""), (order, "20", ""))
    assert told == [(10_000_000_000, None), (20_000_000_000, None)]


@pytest.mark.parametrize("order", ["A 17", "Größe-17", "x1" * 500, "A\0\u0007"])
def test_order_with_an_unusual_id_is_kept_once(postgres: psycopg.Connection, order: str) -> None:
    assert tell(postgres, (order, "10", ""), (f" {order} ", "10", "")) == [(10_000_000_000, None)]


def test_value_in_nobody_knows_what_is_kept_as_told(postgres: psycopg.Connection) -> None:
    assert tell(postgres, ("A17", "12.50", "undefined")) == [(None, 12_500_000_000)]
