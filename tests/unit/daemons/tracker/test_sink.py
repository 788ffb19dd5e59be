from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adctl.delivery.macros import ToldMacros
from adctl.delivery.tokens import BidToken
from adctl.delivery.tracking import TrackedEvent, track
from adctl.errors import StoreUnavailableError
from adctl.models import EventKind
from adctl.stores.spool import Spool
from daemons.tracker.sink import SpoolingSink

if TYPE_CHECKING:
    from collections.abc import Iterator
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


class Desk:
    def __init__(self, path: Path) -> None:
        self.intake = Intake()
        self.spool = Spool(path)
        self.now = 0.0
        self.sink = SpoolingSink(self.intake, self.spool, clock=lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "spool" / "tracker-0.jsonl")
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
    desk.sink.replay()
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
    def full(_tracked: TrackedEvent) -> None:
        raise OSError(28, "No space left on device")

    desk.intake.room = 0
    monkeypatch.setattr(desk.spool, "append", full)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        desk.sink.take(event(1))
