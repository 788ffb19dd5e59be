"""Journaled before it is answered, and taken again by a Redis that may have forgotten it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import greenlet
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from adctl.errors import StoreUnavailableError
from adctl.stores.journal import Journal
from adctl.stores.stream_look import Look
from daemons.tracker.journaling import Journaling, Retaking
from daemons.tracker.metrics import TrackerMetrics
from daemons.tracker.sink import REPLAY_EVENTS
from tests.unit.stores.test_spool import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from adctl.delivery.tracking import TrackedEvent


class Redis:
    """Shards that remember, or forget, and say so."""

    def __init__(self, shards: int = 1) -> None:
        self.looks = {shard: Look("1 aa", "aa", "0-0", "0-0") for shard in range(shards)}
        self.away: set[int] = set()
        self.asked: list[list[int]] = []
        self.taken: list[TrackedEvent] = []
        self.room = 10**6

    def at(self, shards: Iterable[int]) -> dict[int, Look]:
        self.asked.append(list(shards))
        return {n: self.looks[n] for n in self.asked[-1] if n not in self.away}

    def retake_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        return [self._take(tracked) for tracked in events]

    def _take(self, tracked: TrackedEvent) -> str | StoreUnavailableError:
        if not self.room:
            return StoreUnavailableError("away")
        self.room -= 1
        if tracked in self.taken:
            return "duplicate"
        self.taken.append(tracked)
        return "taken"

    def forget(self, generation: str, run_id: str, shard: int = 0) -> None:
        """Forget everything of a shard."""
        self.taken = [tracked for tracked in self.taken if tracked.shard != shard]
        self.looks[shard] = Look(generation, run_id, "0-0", "0-0")

    def come_to(self, flushed: str, last: str, shard: int = 0) -> None:
        self.looks[shard] = self.looks[shard]._replace(flushed_id=flushed, last_id=last)


class Desk:
    def __init__(self, folder: Path, shards: int = 1) -> None:
        self.now = 0.0
        self.registry = CollectorRegistry()
        self.redis = Redis(shards)
        self.journal = Journal(folder, "tracker-0", 1 << 20, clock=lambda: self.now)
        metrics = TrackerMetrics(self.registry)
        self.journaling = Journaling(self.journal, metrics, lambda: self.now)
        self.retaking = Retaking(
            self.journal,
            self.redis,  # type: ignore[arg-type]
            self.redis,  # type: ignore[arg-type]
            shards,
            metrics,
            lambda: self.now,
        )

    def take(self, *events: TrackedEvent) -> None:
        """Have Redis take events, and journal them."""
        self.redis.retake_all(events)
        self.journaling.keep(events)

    def pass_a_second(self, *, doubted: bool = False) -> None:
        self.now += 1
        while self.retaking.run(doubted=doubted):
            pass

    def metric(self, name: str) -> float:
        return self.registry.get_sample_value(name) or 0.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.journal.close()


def test_events_of_one_turn_are_written_at_once_and_nobody_goes_on_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    append = desk.journal.append
    monkeypatch.setattr(desk.journal, "append", lambda of: writes.append(len(of)) or append(of))
    told: list[int] = []

    def answer(number: int) -> None:
        desk.journaling.keep((EVENTS[number],))
        told.append(number)

    for number in range(5):
        greenlet.greenlet(answer).switch(number)
    assert not told
    assert len(desk.journaling.waiting) == 5
    desk.journaling.exchange()
    assert (told, writes) == ([0, 1, 2, 3, 4], [5])
    assert not desk.journaling.waiting


def test_segment_goes_two_looks_after_postgresql_has_it(desk: Desk) -> None:
    desk.take(*EVENTS[:3])
    desk.pass_a_second()  # what was never looked at before is taken again: all of it is known
    desk.redis.come_to("5-0", "7-0")
    desk.pass_a_second()
    desk.redis.come_to("6-0", "9-0")
    desk.pass_a_second()
    assert desk.journal.size
    desk.redis.come_to("7-0", "9-0")
    desk.pass_a_second()
    assert desk.metric("adctl_journal_bytes") == desk.journal.size == 0
    assert desk.metric("adctl_journal_retaken_total") == 0


@pytest.mark.parametrize(
    ("generation", "run_id"),
    [("2 aa", "aa"), ("", "aa"), ("1 aa", "bb"), ("2 bb", "bb")],
    ids=["confirmed anew", "flushed", "started again", "started again and confirmed"],
)
def test_redis_that_may_have_forgotten_is_given_everything_again(
    desk: Desk, generation: str, run_id: str
) -> None:
    desk.take(*EVENTS[:3])
    desk.pass_a_second()
    desk.redis.forget(generation, run_id)
    desk.take(EVENTS[3])
    desk.pass_a_second()
    assert sorted(desk.redis.taken, key=EVENTS.index) == EVENTS[:4]
    assert desk.metric("adctl_journal_retaken_total") == 3


def test_nothing_goes_while_redis_is_not_confirmed(desk: Desk) -> None:
    desk.take(*EVENTS[:3])
    desk.pass_a_second()
    desk.redis.looks[0] = Look("1 aa", "bb", "9-0", "9-0")
    for _ in range(5):
        desk.pass_a_second()
    assert desk.journal.size
    desk.redis.looks[0] = Look("2 bb", "bb", "9-0", "9-0")
    for _ in range(3):
        desk.pass_a_second()
    assert not desk.journal.size


def test_mark_of_before_a_loss_lets_nothing_go_after_it(desk: Desk) -> None:
    desk.take(*EVENTS[:3])
    desk.pass_a_second()
    desk.redis.come_to("1-0", "7-0")
    desk.pass_a_second()
    # Marked at 7-0. Now it forgets, and what comes after is flushed beyond that.
    desk.redis.forget("2 bb", "bb")
    desk.redis.room = 0
    desk.redis.come_to("9-0", "9-0")
    desk.pass_a_second()
    assert desk.journal.size
    desk.redis.room = 10**6
    desk.pass_a_second()
    assert desk.redis.taken == EVENTS[:3]


def test_stream_that_has_fallen_behind_postgresql_marks_nothing(desk: Desk) -> None:
    desk.take(*EVENTS[:3])
    desk.redis.come_to("9-0", "3-0")
    for _ in range(4):
        desk.pass_a_second()
    assert desk.journal.size
    desk.redis.come_to("9-0", "9-3")
    desk.pass_a_second()
    desk.redis.come_to("9-3", "9-3")
    desk.pass_a_second()
    assert not desk.journal.size


def test_only_the_shard_that_forgot_is_given_its_events_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, shards=3)
    others = msgspec.structs.replace(EVENTS[1], shard=2)
    desk.take(EVENTS[0], others)
    desk.pass_a_second()
    taken = desk.metric("adctl_journal_retaken_total")
    desk.redis.forget("2 bb", "bb", shard=2)
    desk.redis.taken = []
    desk.pass_a_second()
    assert desk.redis.taken == [others]
    assert desk.redis.asked[-1] == [0, 2]
    assert desk.metric("adctl_journal_retaken_total") == taken + 1
    desk.journal.close()


def test_shard_that_is_away_keeps_its_events_and_holds_up_no_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path, shards=2)
    desk.take(EVENTS[0])
    desk.pass_a_second()
    desk.take(msgspec.structs.replace(EVENTS[1], shard=1))
    desk.redis.away = {1}
    for shard in (0, 1):
        desk.redis.come_to("9-0", "9-0", shard)
    for _ in range(4):
        desk.pass_a_second()
    assert list(desk.journal.shards(2)) == [1]
    desk.redis.away = set()
    for _ in range(4):
        desk.pass_a_second()
    assert not desk.journal.size
    desk.journal.close()


def test_many_events_are_taken_by_portions_and_again_where_redis_failed(desk: Desk) -> None:
    desk.take(*EVENTS)
    desk.take(*EVENTS)
    desk.pass_a_second()
    desk.redis.forget("2 aa", "aa")
    desk.now += 1
    assert desk.retaking.run(doubted=False)
    assert len(desk.redis.taken) == min(len(EVENTS), REPLAY_EVENTS)
    assert desk.retaking.behind
    desk.redis.forget("3 aa", "aa")
    desk.redis.room = 30
    desk.pass_a_second()
    assert desk.redis.taken == EVENTS[:30]
    desk.redis.room = 10**6
    assert not desk.retaking.run(doubted=False)
    assert desk.redis.taken == EVENTS[:30]
    desk.now += 0.5
    while desk.retaking.run(doubted=False):
        pass
    assert desk.redis.taken == EVENTS
    assert not desk.retaking.behind


def test_redis_that_failed_is_looked_at_before_it_is_given_what_is_spooled(desk: Desk) -> None:
    desk.take(*EVENTS[:3])
    desk.pass_a_second()
    desk.redis.away = {0}
    desk.now += 0.1
    desk.retaking.run(doubted=True)
    assert desk.retaking.behind
    desk.redis.away = set()
    desk.redis.forget("1 aa", "bb")
    desk.now += 0.5
    while desk.retaking.run(doubted=True):
        pass
    assert desk.redis.taken == EVENTS[:3]
    assert not desk.retaking.behind


def test_all_are_looked_at_when_a_worker_starts_and_nobody_while_its_journal_is_empty(
    desk: Desk,
) -> None:
    for _ in range(3):
        desk.pass_a_second()
    assert desk.redis.asked == [[0], [], []]


def test_what_is_told_to_a_redis_that_is_known_is_not_taken_again(desk: Desk) -> None:
    desk.pass_a_second()
    desk.take(*EVENTS[:3])
    desk.redis.taken.clear()
    desk.pass_a_second()
    assert desk.redis.taken == []


def test_journal_that_cannot_be_written_is_said_and_refuses_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_events: Sequence[TrackedEvent]) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(desk.journal, "append", full)
        desk.take(*EVENTS[:3])
        desk.take(EVENTS[3])
    assert "No space left" in desk.journaling.unprotected
    # It is not tried again at every turn.
    desk.take(EVENTS[4])
    assert desk.metric("adctl_journal_unprotected_total") == 5
    desk.now += 1
    desk.take(EVENTS[5])
    assert desk.metric("adctl_journal_unprotected_total") == 5
    assert not desk.journaling.unprotected
    desk.redis.forget("2 bb", "bb")
    desk.pass_a_second()
    assert desk.redis.taken == [EVENTS[5]]


def test_full_journal_says_how_many_have_nothing_but_redis(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.journal.close()
    journal = Journal(tmp_path, "tracker-1", 40_000, 4_000)
    journaling = Journaling(journal, TrackerMetrics(CollectorRegistry()), lambda: 0.0)
    for number in range(200):
        journaling.keep((EVENTS[number],))
    assert "the journal is full" in journaling.unprotected
    journal.close()
