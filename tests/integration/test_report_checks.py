"""What consumers have built, held against PostgreSQL's rows while events are on their way."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from adctl.control.rollup_check import RollupCheck
from adctl.control.statement_lines import check_lines
from adctl.control.statements import parse_month
from adctl.models import Event, EventKind
from adctl.stores.rollups import ALWAYS
from tests.integration.plant import HOUR, LINES, ROLLUPS, Plant, dump, events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg
    from psycopg_pool import ConnectionPool

    Pool = ConnectionPool[psycopg.Connection]

MONTH = parse_month(None, datetime.now(UTC))


def test_a_check_finds_the_hours_that_are_not_what_their_events_say(
    plant: Plant, pool: Pool, postgres: psycopg.Connection
) -> None:
    plant.happen(events(5, 200))
    plant.read()
    now, wrong = HOUR + timedelta(minutes=30), HOUR - timedelta(hours=2)
    right = RollupCheck(pool).check(ALWAYS, now, None, 0)
    assert len(right) >= 6
    assert not any(hour.different for hour in right)
    assert len(RollupCheck(pool).check(ALWAYS, now, 2, 0)) == 2
    postgres.execute("UPDATE rollup_delivery SET clicks = clicks + 1 WHERE hour = %s", [wrong])
    postgres.commit()
    found = RollupCheck(pool).check(ALWAYS, now, None, 0)
    assert [hour.hour for hour in found if hour.different] == [wrong]


def test_a_check_finds_an_hour_of_which_the_rollups_know_nothing(plant: Plant, pool: Pool) -> None:
    plant.happen(events(6, 50))
    checked = RollupCheck(pool).check(HOUR - timedelta(hours=3), HOUR, None, 0)
    assert [hour.hour for hour in checked] == [HOUR - timedelta(hours=n) for n in (3, 2, 1)]
    assert all(hour.different for hour in checked)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("loss", [Plant.wipe, Plant.set_back])
def test_a_redis_that_loses_its_streams_before_the_relay_takes_nothing_from_the_reports(
    plant: Plant,
    pool: Pool,
    postgres: psycopg.Connection,
    loss: Callable[[Plant], None],
    times: int,
) -> None:
    told = events(7, 300)
    plant.happen(told[:60])
    for part in range(times):
        plant.store(told[60 + 80 * part : 140 + 80 * part])
        loss(plant)
        plant.renumber()
    plant.relay()
    plant.read()
    checked = RollupCheck(pool).check(ALWAYS, datetime.now(UTC), None, 0)
    assert len(checked) >= 6
    assert not any(hour.different for hour in checked)
    assert check_lines(pool, MONTH, 0) == []
    built = dump(postgres, ROLLUPS), dump(postgres, LINES)
    plant.rollups.rebuild()
    plant.lines.rebuild()
    assert (dump(postgres, ROLLUPS), dump(postgres, LINES)) == built


@pytest.mark.parametrize("minutes", [0, 1, 30, 59])
def test_the_hours_that_are_checked_are_whole_whenever_their_time_begins(
    plant: Plant, pool: Pool, postgres: psycopg.Connection, minutes: int
) -> None:
    plant.happen(events(8, 200))
    plant.read()
    now, since = datetime.now(UTC), HOUR - timedelta(hours=4) + timedelta(minutes=minutes)
    checked = RollupCheck(pool).check(since, now, None, 0)
    assert checked[0].hour == HOUR - timedelta(hours=4)
    assert not any(hour.different for hour in checked)
    # Events of before that moment may have gone with their day: the hour it is in is not whole.
    kept_from = HOUR - timedelta(hours=3) + timedelta(minutes=minutes)
    postgres.execute(
        "INSERT INTO dropped_day VALUES (current_date - 90, now(), 'me', 1, 0, %s)", [kept_from]
    )
    postgres.commit()
    checked = RollupCheck(pool).check(since, now, None, 0)
    assert checked[0].hour == HOUR - timedelta(hours=2 if minutes else 3)


def now_shown(count: int, first: int = 0) -> list[Event]:
    """Impressions of this moment that differ in nothing that reports tell apart."""
    now = datetime.now(UTC)
    return [
        Event(
            event_id=f"now-{number}",
            event_date=now.date().isoformat(),
            kind=EventKind.IMPRESSION,
            occurred_at_ms=int(now.timestamp() * 1000),
            bid_id=f"bid-{number}",
            campaign_id=1,
            creative_id=1,
            exchange="default",
            price_cpm_micros=1000,
            cost_nanos=1000,
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def reading(plant: Plant) -> Iterator[None]:
    """Let the groups read all the time, whatever the relays do."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            plant.read()

    thread = threading.Thread(target=read)
    thread.start()
    yield
    stop.set()
    thread.join()


class Stored:
    """Events that are stored and relayed all the time, so that some are always on their way."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._store), threading.Thread(target=self._relay)]

    def _store(self) -> None:
        number = 1000
        while not self._stop.wait(0.02):
            self._plant.store(now_shown(3, number))
            number += 3

    def _relay(self) -> None:
        while not self._stop.wait(0.02):
            self._plant.relay()

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.usefixtures("reading")
def test_checks_hold_of_the_hour_that_is_not_over_while_events_are_on_their_way(
    plant: Plant, pool: Pool
) -> None:
    plant.happen(now_shown(1))
    with Stored(plant):
        now = datetime.now(UTC)
        checked = RollupCheck(pool).check(now, now, None, 20)
        assert [hour.different for hour in checked] == [0]
        assert check_lines(pool, MONTH, 20) == []


@pytest.mark.usefixtures("reading")
def test_checks_find_one_event_that_is_missing_among_those_on_their_way(
    plant: Plant, pool: Pool, postgres: psycopg.Connection
) -> None:
    plant.store(now_shown(5))
    postgres.execute("DELETE FROM relay_batch")
    postgres.commit()
    with Stored(plant):
        now = datetime.now(UTC)
        checked = RollupCheck(pool).check(now, now, None, 3)
        assert [hour.different for hour in checked] == [1]
        [fault] = check_lines(pool, MONTH, 3)
        assert fault.booked_impressions - fault.impressions == 5


def test_the_newest_hour_is_in_every_sample(plant: Plant, pool: Pool) -> None:
    plant.store([*events(8, 50), *now_shown(1)])
    now = datetime.now(UTC)
    assert [RollupCheck(pool).check(ALWAYS, now, 1, 0)[0].hour for _ in range(5)] == [
        now.replace(minute=0, second=0, microsecond=0)
    ] * 5


def test_relays_go_on_after_a_check(plant: Plant, pool: Pool) -> None:
    plant.happen(now_shown(1))
    now = datetime.now(UTC)
    assert [hour.different for hour in RollupCheck(pool).check(now, now, None, 0.6)] == [1]
    began = time.monotonic()
    plant.happen(now_shown(1, 1))
    assert time.monotonic() - began < 3
