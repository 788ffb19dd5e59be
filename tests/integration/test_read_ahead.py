from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from adctl.control.flushing import Flusher
from adctl.control.read_ahead import ReadAhead
from adctl.errors import StoreUnavailableError
from adctl.stores import keys
from adctl.stores.stream import ORIGIN, EventStream, StreamEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

    from adctl.models import Event

    MakeEvent = Callable[..., Event]
    Append = Callable[..., None]


class CountingStream(EventStream):
    """A stream that tells how often it was read, and fails ``failures`` times."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.reads: list[tuple[str, int]] = []
        self.failures = 0

    def read(self, after_id: str, count: int) -> list[StreamEntry]:
        try:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError("Redis: away")
            return super().read(after_id, count)
        finally:
            self.reads.append((after_id, count))

    def wait_until_read(self) -> None:
        deadline = time.monotonic() + 10
        while not self.reads and time.monotonic() < deadline:
            time.sleep(0.001)


@pytest.fixture
def counting(redis_client: redis.Redis) -> CountingStream:
    return CountingStream(redis_client)


@pytest.fixture
def reader(counting: CountingStream) -> ReadAhead:
    return ReadAhead(counting)


@pytest.fixture
def four(make_event: MakeEvent, append: Append, counting: CountingStream) -> list[str]:
    append(*(make_event(name) for name in "abcd"))
    ids = [entry.id for entry in counting.read(ORIGIN, 10)]
    counting.reads.clear()
    return ids


def event_ids(reader: ReadAhead, after_id: str, count: int) -> list[str]:
    return [row.event.event_id for row in reader.take(after_id, count).rows]


def test_a_batch_that_was_read_ahead_is_read_once(
    reader: ReadAhead, counting: CountingStream, four: list[str]
) -> None:
    reader.prepare(four[1], 2)
    assert event_ids(reader, four[1], 2) == ["c", "d"]
    assert counting.reads == [(four[1], 2)]


@pytest.mark.parametrize(("after", "count"), [(0, 2), (1, 3), (1, 1)])
def test_what_was_read_ahead_for_another_question_is_not_taken(
    reader: ReadAhead, four: list[str], after: int, count: int
) -> None:
    reader.prepare(four[1], 2)
    assert event_ids(reader, four[after], count) == list("abcd"[after + 1 : after + 1 + count])


def test_a_batch_that_was_not_full_yet_is_read_again(
    reader: ReadAhead,
    counting: CountingStream,
    four: list[str],
    make_event: MakeEvent,
    append: Append,
) -> None:
    reader.prepare(four[1], 3)
    counting.wait_until_read()
    append(make_event("e"))
    assert event_ids(reader, four[1], 3) == ["c", "d", "e"]


def test_entries_that_are_not_in_the_stream_any_more_are_not_taken(
    reader: ReadAhead, counting: CountingStream, four: list[str], redis_client: redis.Redis
) -> None:
    reader.prepare(four[1], 2)
    counting.wait_until_read()
    redis_client.delete(keys.events(0))
    assert event_ids(reader, four[1], 2) == []


def test_an_outage_while_reading_ahead_is_forgotten_when_it_is_over(
    reader: ReadAhead, counting: CountingStream, four: list[str]
) -> None:
    counting.failures = 1
    reader.prepare(four[1], 2)
    assert event_ids(reader, four[1], 2) == ["c", "d"]


def test_a_flusher_that_is_behind_reads_every_entry_once(
    pool: ConnectionPool[psycopg.Connection], counting: CountingStream, four: list[str]
) -> None:
    assert Flusher(pool, counting).drain(2).stored == 4
    assert counting.reads == [(ORIGIN, 2), (four[1], 2), (four[3], 2), (four[3], 2)]
