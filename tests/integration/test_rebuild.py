"""What consumers have built is, to the byte, what PostgreSQL's own rows say it should be."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adctl.delivery.landscape import lowest_of, price_bucket
from tests.integration.plant import HOUR, LINES, ROLLUPS, Plant, dump, events

if TYPE_CHECKING:
    import psycopg


def spoil(postgres: psycopg.Connection, since: datetime) -> None:
    postgres.execute(
        "UPDATE rollup_delivery SET clicks = clicks + 1, spend_nanos = 5 WHERE hour >= %s", [since]
    )
    postgres.execute("UPDATE rollup_landscape SET wins = wins + 3 WHERE hour >= %s", [since])
    postgres.execute("DELETE FROM rollup_delivery WHERE country = 'USA' AND hour >= %s", [since])
    postgres.execute("DELETE FROM statement_line WHERE day >= %s::date", [since])
    postgres.commit()


def test_rebuilding_all_of_it_gives_what_the_stream_gave_byte_for_byte(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(1, 400))
    plant.decide(3)
    plant.read()
    streamed = dump(postgres, ROLLUPS), dump(postgres, LINES)
    assert streamed[0].count(b"\n") > 200
    assert streamed[1].count(b"\n") >= 6
    postgres.execute("UPDATE statement_line SET spend_nanos = 1, late_spend_nanos = 0")
    postgres.execute("UPDATE rollup_delivery SET wins = 9, value_nanos = 1, bids = bids")
    postgres.execute("DELETE FROM rollup_delivery WHERE country = 'USA' AND bids = 0")
    postgres.execute("DELETE FROM rollup_landscape WHERE bids = 0")
    postgres.commit()
    plant.rollups.rebuild()
    plant.lines.rebuild()
    assert (dump(postgres, ROLLUPS), dump(postgres, LINES)) == streamed


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_rebuilding_some_hours_while_messages_are_unread_gives_the_same_in_the_end(
    plant: Plant, postgres: psycopg.Connection, share: float
) -> None:
    told = events(2, 200)
    plant.happen(told)
    plant.read(share)
    since = HOUR - timedelta(hours=2)
    spoil(postgres, since)
    plant.rollups.rebuild(since)
    plant.lines.rebuild()
    # Later hours only, while what the first rebuild counted is still unread.
    plant.rollups.rebuild(HOUR - timedelta(hours=1))
    plant.read()
    streamed = dump(postgres, ROLLUPS), dump(postgres, LINES)
    plant.rollups.rebuild()
    plant.lines.rebuild()
    assert (dump(postgres, ROLLUPS), dump(postgres, LINES)) == streamed


def test_rebuilding_some_hours_leaves_earlier_ones_alone(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(3, 200))
    plant.read()
    since = HOUR - timedelta(hours=2)
    earlier = ["SELECT count(*) FROM rollup_delivery WHERE hour < %s", [since]]
    [(before,)] = postgres.execute(*earlier).fetchall()
    postgres.execute("TRUNCATE event CASCADE")
    postgres.commit()
    plant.rollups.rebuild(since)
    assert postgres.execute(*earlier).fetchall() == [(before,)]
    assert before > 0
    [(left,)] = postgres.execute(
        "SELECT count(*) FROM rollup_delivery WHERE hour >= %s", [since]
    ).fetchall()
    assert left == 0


def test_statement_lines_add_up_to_the_ledger(plant: Plant, postgres: psycopg.Connection) -> None:
    plant.happen(events(4, 200))
    plant.read()
    ledger = "SELECT sum(amount_nanos) FROM ledger_entry WHERE account = 'campaign'"
    lines = "SELECT sum(spend_nanos), sum(late_spend_nanos) > 0, sum(unpriced_spend_nanos) > 0"
    [(booked,)] = postgres.execute(ledger).fetchall()
    assert postgres.execute(f"{lines} FROM statement_line").fetchall() == [(booked, True, True)]


def test_price_buckets_are_the_same_in_postgresql(postgres: psycopg.Connection) -> None:
    prices = [*range(70), 999_999, 1_000_000, 2**31, 2**40 - 1, 2**40, 2**62]
    rows = postgres.execute("SELECT price_bucket(p) FROM unnest(%s::bigint[]) AS p", [prices])
    found = [bucket for (bucket,) in rows.fetchall()]
    assert found == [price_bucket(price) for price in prices]
    assert all(lowest_of(b) <= p < lowest_of(b + 1) for p, b in zip(prices, found, strict=True))
