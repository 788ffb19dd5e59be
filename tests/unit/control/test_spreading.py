from __future__ import annotations

from adctl.control.spreading import spread


class Clock:
    """A clock that goes on when somebody sleeps, or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += seconds


def begun(items: list[int], at_once: int, over_sec: float, work_sec: float) -> list[float]:
    """Return when each portion was begun by one who works so long over each."""
    clock = Clock()
    times = []
    for _portion in spread(items, at_once, over_sec, clock, clock.go_on):
        times.append(round(clock.now - 100, 3))
        clock.go_on(work_sec)
    return times


def test_every_item_comes_once_and_in_order() -> None:
    assert list(spread([1, 2, 3, 4, 5], 2, 0)) == [(1, 2), (3, 4), (5,)]


def test_nothing_at_all_takes_no_time() -> None:
    assert begun([], 2, 1.0, 0.1) == []


def test_portions_begin_evenly_over_the_time() -> None:
    assert begun([1, 2, 3, 4, 5, 6, 7, 8], 2, 1.0, 0.1) == [0.0, 0.25, 0.5, 0.75]


def test_whoever_is_late_is_not_held_up() -> None:
    assert begun([1, 2, 3, 4, 5, 6, 7, 8], 2, 1.0, 0.4) == [0.0, 0.4, 0.8, 1.2]
