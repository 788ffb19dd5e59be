from __future__ import annotations

import threading

import pytest

from adctl.demo.errands import Errands
from adctl.demo.wire import Wire


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def errands(clock: Clock) -> Errands:
    return Errands(clock)


def run_due(errands: Errands) -> None:
    """Run what is due now, as a browser thread would, and come back."""
    errands.add(0, lambda _wire: errands.end())
    worker = threading.Thread(target=errands.work, args=(Wire("127.0.0.1", 1),))
    worker.start()
    worker.join(10)
    assert not worker.is_alive()


def test_errands_run_in_the_order_they_are_due(errands: Errands, clock: Clock) -> None:
    ran: list[str] = []
    for delay_sec, name in ((3, "third"), (1, "first"), (2, "second"), (9, "later")):
        errands.add(delay_sec, lambda _wire, name=name: ran.append(name))
    clock.now = 5.0
    run_due(errands)
    assert ran == ["first", "second", "third"]
    assert not errands.idle


def test_hurrying_makes_everything_due_now_and_what_follows_from_it(errands: Errands) -> None:
    ran: list[str] = []

    def click(_wire: Wire) -> None:
        ran.append("click")
        errands.add(60, lambda _wire: ran.append("conversion"))
        errands.add(60, lambda _wire: errands.end())

    errands.add(60, click)
    errands.hurry()
    worker = threading.Thread(target=errands.work, args=(Wire("127.0.0.1", 1),))
    worker.start()
    worker.join(10)
    assert ran == ["click", "conversion"]


def test_idle_means_nothing_is_left_to_do(errands: Errands) -> None:
    assert errands.idle
    run_due(errands)
    assert errands.idle
    errands.add(1, lambda _wire: None)
    assert not errands.idle
