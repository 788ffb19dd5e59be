"""The journal on a real disk: what is in it stays until it is known that PostgreSQL has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.errors import ConflictError
from adctl.stores.journal import SEGMENT_SEC, Journal
from tests.unit.stores.test_spool import EVENTS, segments

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.delivery.tracking import TrackedEvent

ROOM = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    return opened(tmp_path, clock)


def opened(folder: Path, clock: Clock, room: int = ROOM, segment_bytes: int = ROOM) -> Journal:
    return Journal(folder, "tracker-0", room, segment_bytes, clock=clock)


def age(journal: Journal, clock: Clock) -> None:
    clock.now += SEGMENT_SEC
    journal.seal()


def everything(journal: Journal, portion: int = 7) -> list[TrackedEvent]:
    """Go through all of it, by portions."""
    journal.rewind()
    found: list[TrackedEvent] = []
    while events := journal.peek(portion):
        found += events
        journal.advance(len(events))
    return found


def of_shard(number: int, shard: int) -> TrackedEvent:
    return msgspec.structs.replace(EVENTS[number], shard=shard)


def test_segment_goes_when_postgresql_has_come_to_where_it_was_marked(
    journal: Journal, clock: Clock
) -> None:
    journal.append(EVENTS[:3])
    age(journal, clock)
    journal.mark({0: "10-5"})
    journal.release({0: "10-4"})
    assert journal.size
    journal.release({0: "10-5"})
    assert not journal.size


def test_segment_without_a_mark_stays_wherever_postgresql_is(
    journal: Journal, clock: Clock
) -> None:
    journal.append(EVENTS[:3])
    age(journal, clock)
    journal.release({0: "99-0"})
    assert everything(journal) == EVENTS[:3]


def test_segment_that_is_being_written_is_not_marked(journal: Journal) -> None:
    journal.append(EVENTS[:1])
    journal.seal()
    journal.mark({0: "10-5"})
    journal.append(EVENTS[1:2])
    journal.release({0: "10-5"})
    assert everything(journal) == EVENTS[:2]


def test_segment_waits_for_every_shard_that_it_has_events_of(
    journal: Journal, clock: Clock
) -> None:
    journal.append([of_shard(0, 0), of_shard(1, 3)])
    age(journal, clock)
    assert list(journal.shards(8)) == [0, 3]
    journal.mark({0: "10-0"})
    journal.release({0: "11-0", 3: "11-0"})
    assert journal.size
    journal.mark({0: "10-0", 3: "20-0", 5: "1-0"})
    journal.release({0: "11-0", 3: "11-0"})
    journal.release({0: "11-0"})
    assert journal.size
    journal.release({0: "11-0", 3: "20-0"})
    assert not journal.size


def test_rewinding_takes_marks_back_until_all_of_it_has_been_gone_through(
    journal: Journal, clock: Clock
) -> None:
    journal.append(EVENTS[:5])
    age(journal, clock)
    journal.mark({0: "10-0"})
    journal.rewind()
    journal.mark({0: "20-0"})
    journal.release({0: "30-0"})
    assert journal.rewound
    assert journal.size
    assert list(journal.peek(3)) == EVENTS[:3]
    journal.advance(2)
    assert list(journal.peek(9)) == EVENTS[2:5]
    journal.advance(3)
    assert not journal.rewound
    journal.mark({0: "20-0"})
    journal.release({0: "20-0"})
    assert not journal.size


def test_what_an_earlier_process_left_is_gone_through_before_it_can_go(
    tmp_path: Path, clock: Clock
) -> None:
    first = opened(tmp_path, clock)
    first.append([of_shard(0, 2), EVENTS[1]])
    first.close()
    second = opened(tmp_path, clock)
    second.append(EVENTS[2:3])
    assert list(second.shards(4)) == [0, 1, 2, 3]
    second.mark(dict.fromkeys(range(4), "10-0"))
    second.release(dict.fromkeys(range(4), "10-0"))
    assert everything(second) == [of_shard(0, 2), *EVENTS[1:3]]
    assert list(second.shards(4)) == [0, 2]
    second.mark({0: "10-0", 2: "10-0"})
    second.release({0: "10-0", 2: "10-0"})
    assert not second.size
    second.close()


def test_of_a_full_journal_the_oldest_go_and_are_counted(tmp_path: Path, clock: Clock) -> None:
    journal = opened(tmp_path, clock, room=40_000, segment_bytes=4_000)
    gone = sum(journal.append(EVENTS[n : n + 2]) for n in range(0, 200, 2))
    assert 0 < gone < 200
    assert journal.size <= 40_000
    assert sum(path.stat().st_size for path in segments(tmp_path)) == journal.size
    assert everything(journal) == EVENTS[gone:]


def test_oldest_that_go_while_they_are_gone_through_hold_nobody_up(
    tmp_path: Path, clock: Clock
) -> None:
    journal = opened(tmp_path, clock, room=40_000, segment_bytes=4_000)
    journal.append(EVENTS[:10])
    journal.rewind()
    journal.peek(3)
    for n in range(10, 200, 10):
        journal.append(EVENTS[n : n + 10])
    journal.advance(3)
    assert journal.peek(9) == ()
    assert not journal.rewound


def test_nothing_is_synced_and_all_of_it_is_there_after_a_kill(
    journal: Journal, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_descriptor: int) -> None:
        raise AssertionError("it waits for the disk")

    monkeypatch.setattr(os, "fsync", hang)
    monkeypatch.setattr(os, "fdatasync", hang)
    journal.append(EVENTS[:5])
    [path] = segments(tmp_path)
    assert path.read_bytes().count(b"\n") == 5
    with pytest.raises(ConflictError):
        opened(tmp_path, clock)


def test_failed_write_costs_nothing_of_what_was_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(EVENTS[:2])
    write = os.write

    def tear(descriptor: int, data: memoryview) -> int:
        if len(data) < 300:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) - 200])

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", tear)
        with pytest.raises(OSError, match="No space left"):
            journal.append(EVENTS[2:4])
    journal.append(EVENTS[4:6])
    assert everything(journal) == [*EVENTS[:2], *EVENTS[4:6]]


def test_segments_are_few_while_postgresql_is_away(
    journal: Journal, tmp_path: Path, clock: Clock
) -> None:
    for n in range(100):
        journal.append(EVENTS[n : n + 1])
        age(journal, clock)
    assert len(segments(tmp_path)) < 12


def test_events_nobody_can_read_go_when_they_were_tried(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "tracker-0.00000001.v1").write_bytes(b"no event\nnor this")
    journal = opened(tmp_path, clock)
    assert everything(journal) == []
    assert not journal.size
    assert not segments(tmp_path)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.one_of(st.integers(1, 20), st.sampled_from(["seal", "mark", "release", "kill"])),
        max_size=40,
    )
)
def test_whatever_happens_no_event_goes_before_postgresql_has_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]
) -> None:
    folder, clock = tmp_path_factory.mktemp("journal"), Clock()
    journal, appended, flushed = opened(folder, clock), 0, 0
    for step in steps:
        if isinstance(step, int):
            more = EVENTS[appended : appended + step]
            if more:
                journal.append(more)
            appended += len(more)
        elif step == "seal":
            age(journal, clock)
        elif step == "mark":
            journal.mark({0: f"{appended}-0"})
        elif step == "release":
            flushed = appended
            journal.release({0: f"{flushed}-0"})
        else:
            journal.close()
            journal = opened(folder, clock)
            journal.rewind()
            while events := journal.peek(9):
                journal.advance(len(events))
    left = everything(journal)
    assert left == EVENTS[appended - len(left) : appended]
    assert len(left) >= appended - flushed
    journal.close()
