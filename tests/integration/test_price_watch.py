"""Exchanges whose prices are read in a wrong way are found out by what was booked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from adctl.alarms import AlarmKind
from adctl.config_exchange import ExchangeSettings
from adctl.config_notices import AlarmSettings
from adctl.control.alarms import ALARM_COLUMNS, alarm_fields, read_alarms
from adctl.control.flushing import Flusher
from adctl.control.periods import Period
from adctl.control.price_watch import PriceWatch
from adctl.delivery.exchange_prices import ExchangePrices
from adctl.models import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from psycopg_pool import ConnectionPool

    from adctl.models import Event
    from adctl.stores.stream import EventStream
    from tests.integration.house import House

    Bill = Callable[..., None]

BID = 2_000_000


@pytest.fixture
def watch(pool: ConnectionPool[psycopg.Connection], house: House) -> PriceWatch:
    assert house.campaign_id == 1
    exchanges = {"default": ExchangeSettings(), "burl": ExchangeSettings(billing_event="burl")}
    return PriceWatch(pool, AlarmSettings(), exchanges)


@pytest.fixture
def bill(
    pool: ConnectionPool[psycopg.Connection],
    stream: EventStream,
    append: Callable[..., None],
    make_event: Callable[..., Event],
) -> Bill:
    """Bill impressions of an exchange at a price of what was bid, and store them."""

    def bill_all(exchange: str, count: int, price: int = BID, **changes: object) -> None:
        for number in range(count):
            event_id = f"{exchange}-{price}-{sorted(changes)}-{number}"
            told = {"price_cpm_micros": price, "cost_nanos": price, "bid_cpm_micros": BID}
            append(make_event(event_id, exchange=exchange, **{**told, **changes}))
        Flusher(pool, stream).drain(100)

    return bill_all


def test_a_price_of_a_thousandth_raises_one_alarm_that_names_exchange_and_setting(
    bill: Bill, watch: PriceWatch, pool: ConnectionPool[psycopg.Connection]
) -> None:
    bill("goog", 18, price=1_500)
    bill("goog", 12)
    bill("fine", 30)
    now = datetime.now(UTC)
    for _ in range(2):
        assert watch.look(now) == [
            ExchangePrices("fine", 30, 0, 0, 0),
            ExchangePrices("goog", 30, 0, 0, 18),
        ]
    with pool.connection() as conn:
        [alarm] = read_alarms(conn, Period(now, datetime.now(UTC), ZoneInfo("UTC")))
    fields = alarm_fields(alarm)
    assert tuple(fields) == ALARM_COLUMNS
    assert (fields["kind"], fields["exchange"], fields["events"]) == ("prices.low", "goog", 18)
    assert fields["look_at"] == "price_unit"
    assert fields["campaign_id"] is None


def test_prices_that_are_unread_or_above_the_bid_raise_alarms_of_their_own(
    bill: Bill, watch: PriceWatch, pool: ConnectionPool[psycopg.Connection]
) -> None:
    bill("keys", 20, unpriced=True)
    bill("cents", 20, odd="above_bid")
    now = datetime.now(UTC)
    watch.look(now)
    with pool.connection() as conn:
        alarms = read_alarms(conn, Period(now, datetime.now(UTC), ZoneInfo("UTC")))
    assert {(alarm.exchange, alarm.kind) for alarm in alarms} == {
        ("keys", AlarmKind.PRICES_UNREAD),
        ("cents", AlarmKind.PRICES_ABOVE),
    }


def test_a_cheap_price_that_is_told_of_a_cheap_bid_is_fine(
    bill: Bill, watch: PriceWatch, postgres: psycopg.Connection
) -> None:
    bill("cheap", 30, price=1_500, bid_cpm_micros=2_000)
    bill("one-in-ten", 27)
    bill("one-in-ten", 3, price=1)
    watch.look(datetime.now(UTC))
    assert postgres.execute("SELECT count(*) FROM alarm").fetchone() == (0,)


def test_a_price_of_nothing_is_low_and_only_what_bills_is_looked_at(
    bill: Bill, watch: PriceWatch
) -> None:
    bill("burl", 20, price=0, kind=EventKind.BILL)
    bill("burl", 50)
    bill("free", 20, price=0)
    bill("free", 20, price=0, test=True)
    assert watch.look(datetime.now(UTC)) == [
        ExchangePrices("burl", 20, 0, 0, 20),
        ExchangePrices("free", 20, 0, 0, 20),
    ]


def test_what_was_fine_meanwhile_is_raised_again(
    bill: Bill, watch: PriceWatch, postgres: psycopg.Connection
) -> None:
    now = datetime.now(UTC)

    def raised(minutes: int) -> int:
        watch.look(now + timedelta(minutes=minutes))
        postgres.rollback()
        return int(postgres.execute("SELECT count(*) FROM alarm").fetchone()[0])

    bill("goog", 20, price=1)
    assert [raised(0), raised(1), raised(2)] == [1, 1, 1]
    bill("goog", 200)
    assert raised(3) == 1
    bill("goog", 200, price=2)
    assert [raised(4), raised(5)] == [2, 2]
