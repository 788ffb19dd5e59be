from __future__ import annotations

import os
from typing import TYPE_CHECKING

import greenlet
import pytest

from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import TrackedEvent, track
from adctl.errors import StoreUnavailableError
from adctl.models import EventKind
from adctl.stores.spool import Spool
from daemons.tracker.sink import REPLAY_EVENTS, SpoolingSink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW_MS = 1_767_225_600_000


class Intake:
    """Takes events unless it is away, or only so many of them."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.room = 1000

    def take(self, tracked: TrackedEvent) -> str:
        if not self.room:
            raise StoreUnavailableError("away")
        self.room -= 1
        if tracked.event.event_id in self.taken:
            return "duplicate"
        self.taken.append(tracked.event.event_id)
        return "taken"

    def take_all(self, events: Sequence[TrackedEvent]) -> list[str | StoreUnavailableError]:
        return [self._told(tracked) for tracked in events]

    def _told(self, tracked: TrackedEvent) -> str | StoreUnavailableError:
        try:
            return self.take(tracked)
        except StoreUnavailableError as exc:
            return exc


class Desk:
    def __init__(self, path: Path) -> None:
        self.intake = Intake()
        self.spool = Spool(path, "tracker-0", 1 << 20)
        self.now = 0.0
        self.sink = SpoolingSink(self.intake, self.spool, clock=lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "spool")
    yield desk
    desk.spool.close()


def event(number: int) -> TrackedEvent:
    token = BidToken(f"{number:024x}", 1, 2, "default", 2_000_000, NOW_MS, NOW_MS // 60_000)
    return track(token, EventKind.IMPRESSION, EventKind.IMPRESSION, ToldMacros("1.5"), NOW_MS)


def ids(*numbers: int) -> list[str]:
    return [event(number).event.event_id for number in numbers]


def test_event_goes_to_the_store_while_it_answers(desk: Desk) -> None:
    assert desk.sink.take(event(1)) == "taken"
    assert desk.spool.empty


def test_event_is_spooled_while_the_store_is_away(desk: Desk) -> None:
    desk.intake.room = 0
    assert desk.sink.take(event(1)) == "spooled"
    assert not desk.spool.empty


def test_no_event_overtakes_a_spooled_one(desk: Desk) -> None:
    desk.intake.room = 0
    desk.sink.take(event(1))
    desk.intake.room = 1000
    assert desk.sink.take(event(2)) == "spooled"
    assert desk.sink.replay()
    assert not desk.sink.replay()
    assert desk.sink.take(event(3)) == "taken"
    assert desk.intake.taken == ids(1, 2, 3)


def test_replay_that_breaks_off_is_taken_up_again_without_loss_or_repeat(desk: Desk) -> None:
    desk.intake.room = 0
    for number in (1, 2, 3):
        desk.sink.take(event(number))
    desk.intake.room = 2
    desk.sink.replay()
    assert not desk.spool.empty
    desk.intake.room, desk.now = 1000, 10.0
    desk.sink.replay()
    assert desk.spool.empty
    assert desk.intake.taken == ids(1, 2, 3)


def test_store_that_is_away_is_not_tried_at_every_turn(desk: Desk) -> None:
    desk.intake.room = 0
    desk.sink.take(event(1))
    desk.sink.replay()
    desk.intake.room = 1000
    desk.sink.replay()
    assert not desk.spool.empty
    desk.now = 0.6
    desk.sink.replay()
    assert desk.spool.empty


def test_event_that_can_be_kept_nowhere_is_not_answered_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_events: Sequence[TrackedEvent]) -> int:
        raise OSError(28, "No space left on device")

    desk.intake.room = 0
    monkeypatch.setattr(desk.spool, "append", full)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        desk.sink.take(event(1))


def test_events_of_one_turn_wait_for_the_disk_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    told: list[str] = []
    monkeypatch.setattr(os, "fdatasync", waits.append)
    desk.intake.room = 0
    for number in range(5):
        greenlet.greenlet(lambda n=number: told.append(desk.sink.take(event(n)))).switch()
    assert not told
    desk.sink.exchange()
    assert told == ["spooled"] * 5
    assert len(waits) == 1


def test_of_a_turn_with_more_than_the_spool_holds_the_first_are_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.spool.close()
    desk.spool = Spool(tmp_path, "tracker-0", 1200)
    desk.sink = SpoolingSink(desk.intake, desk.spool)  # type: ignore[arg-type]
    desk.intake.room = 0
    told = desk.sink.take_all([event(number) for number in range(4)])
    kept = told.count("spooled")
    assert 0 < kept < 4
    assert told[:kept] == ["spooled"] * kept
    assert all("full" in str(one) for one in told[kept:])
    with pytest.raises(StoreUnavailableError, match="full"):
        desk.sink.check(lambda: None)
    desk.spool.close()


def test_of_a_batch_only_what_the_store_missed_is_spooled(desk: Desk) -> None:
    desk.intake.room = 2
    told = desk.sink.take_all([event(number) for number in range(4)])
    assert told == ["taken", "taken", "spooled", "spooled"]
    desk.intake.room = 1000
    desk.sink.replay()
    assert desk.intake.taken == ids(0, 1, 2, 3)


def test_a_long_spool_is_replayed_by_portions_between_turns(desk: Desk) -> None:
    count = REPLAY_EVENTS + 3
    desk.intake.room = 0
    desk.sink.take_all([event(number) for number in range(count)])
    desk.intake.room = 10_000
    assert desk.sink.replay()
    assert len(desk.intake.taken) == REPLAY_EVENTS
    assert desk.sink.take(event(count)) == "spooled"
    assert desk.sink.replay()
    assert desk.intake.taken == ids(*range(count + 1))
