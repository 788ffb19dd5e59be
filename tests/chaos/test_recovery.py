"""Whether there are bids again after a Redis from the past, by a clock that is set by hand."""

from __future__ import annotations

from tests.chaos.recovery import BIDS_AGAIN_WITHIN_SEC, Recovery


class _ByHand:
    """A clock, what it is told to, and a recovery that goes by it."""

    def __init__(self) -> None:
        self.now_sec = 100.0
        self.made = True
        self.recovery = Recovery(lambda: self.made, lambda: self.now_sec)

    def pass_by(self, sec: float, bids: int, *, disturbed: bool = False) -> None:
        """Let time pass, in steps, with as many bids at the end of each."""
        for _ in range(round(sec / 0.5)):
            self.now_sec += 0.5
            self.recovery.look(bids, disturbed=disturbed)


def test_bids_that_go_on_are_timed() -> None:
    told = _ByHand()
    told.recovery.begin()
    told.pass_by(2, bids=7)
    told.pass_by(0.5, bids=8)
    assert told.recovery.took_sec == [2.5]
    assert told.recovery.check().holds
    assert not told.recovery.is_awaited


def test_bids_that_never_go_on_are_found() -> None:
    told = _ByHand()
    told.recovery.begin()
    told.pass_by(BIDS_AGAIN_WITHIN_SEC + 1, bids=7)
    assert not told.recovery.check().holds
    assert not told.recovery.is_awaited


def test_the_time_begins_when_nothing_else_is_wrong_any_more() -> None:
    told = _ByHand()
    told.recovery.begin()
    told.pass_by(2 * BIDS_AGAIN_WITHIN_SEC, bids=7, disturbed=True)
    told.pass_by(3, bids=7)
    told.pass_by(0.5, bids=8)
    assert told.recovery.took_sec == [3.5]


def test_answers_that_were_on_their_way_are_no_bids_of_a_redis_from_the_past() -> None:
    told = _ByHand()
    told.recovery.look(5, disturbed=False)
    told.recovery.begin()
    told.pass_by(0.5, bids=9)
    assert told.recovery.is_awaited


def test_bids_of_some_do_not_hide_campaigns_without_money() -> None:
    told = _ByHand()
    told.recovery.begin()
    told.made = False
    told.pass_by(0.5, bids=7)
    told.pass_by(2, bids=9)
    assert told.recovery.is_awaited
    told.made = True
    told.pass_by(0.5, bids=9)
    assert told.recovery.took_sec == [3.0]
