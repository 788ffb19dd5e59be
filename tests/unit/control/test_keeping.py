from __future__ import annotations

import pytest

from adctl.control.keeping import Kept
from adctl.errors import StoreUnavailableError


class Process:
    name = "pacer"
    pid = 7
    port = 8085

    def __init__(self) -> None:
        self.running = True
        self.fails = 0
        self.starts = 0

    def alive(self) -> bool:
        return self.running

    def respawn(self) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailableError("the port is taken")
        self.running = True
        self.starts += 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(process: Process, clock: Clock) -> Kept:
    return Kept(process, process.respawn, clock)


def looks(kept: Kept, clock: Clock, seconds: float) -> list[str]:
    told = []
    for _ in range(int(seconds * 10)):
        clock.now += 0.1
        told.append(kept.look())
    return [text for text in told if text]


def die_and_return(process: Process, kept: Kept, clock: Clock) -> float:
    process.running = False
    died_at = clock.now
    while not process.running:
        looks(kept, clock, 0.1)
    return clock.now - died_at


def test_a_running_process_is_left_alone(kept: Kept, clock: Clock, process: Process) -> None:
    assert looks(kept, clock, 5) == []
    assert process.starts == kept.restarts == 0
    assert kept.uptime_sec == pytest.approx(5)


def test_a_dead_process_is_reported_and_started_again(
    kept: Kept, clock: Clock, process: Process
) -> None:
    process.running = False
    assert looks(kept, clock, 1) == ["pacer (pid 7) has ended", "pacer was started again (pid 7)"]
    assert kept.restarts == process.starts == 1


def test_a_process_is_down_until_it_is_back(kept: Kept, clock: Clock, process: Process) -> None:
    process.running = False
    kept.look()
    assert kept.down
    assert kept.uptime_sec == 0
    looks(kept, clock, 1)
    assert not kept.down


def test_a_process_that_keeps_dying_waits_longer_each_time(
    kept: Kept, clock: Clock, process: Process
) -> None:
    pauses = [round(die_and_return(process, kept, clock), 1) for _ in range(9)]
    assert pauses[0] <= 0.4
    assert pauses[1:5] == sorted(pauses[1:5])
    assert pauses[-1] == pytest.approx(10, abs=0.5)


def test_a_process_that_had_run_for_long_comes_back_at_once(
    kept: Kept, clock: Clock, process: Process
) -> None:
    for _ in range(6):
        die_and_return(process, kept, clock)
    looks(kept, clock, 30)
    assert die_and_return(process, kept, clock) < 0.5


def test_a_start_that_fails_is_reported_and_tried_again(
    kept: Kept, clock: Clock, process: Process
) -> None:
    process.running, process.fails = False, 2
    told = looks(kept, clock, 5)
    assert told.count("pacer could not be started again: the port is taken") == 2
    assert told[-1] == "pacer was started again (pid 7)"
    assert kept.restarts == 1
