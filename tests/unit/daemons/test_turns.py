from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adctl.errors import StoreUnavailableError
from adctl.stores.round_trip import RoundTrips
from daemons.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Connection:
    """Answers GET with the key's name, and notes how much each round trip carried."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.away = False

    def exchange(self, commands: Sequence[Any]) -> list[Any]:
        self.sizes.append(len(commands))
        if self.away:
            raise StoreUnavailableError("away")
        return [command[1] for command in commands]


class Task:
    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.result: object = None
        self.cancelled = False

    def service(self) -> None:
        self.result = self._work()

    def cancel(self) -> None:
        self.cancelled = True


class Room:
    def __init__(self) -> None:
        self.connection = Connection()
        self.trips = RoundTrips(self.connection)  # type: ignore[arg-type]
        self.turns = Turns(self.trips)

    def add(self, work: Callable[[], object]) -> Task:
        task = Task(work)
        self.turns.add_task(task)
        return task


def test_every_responder_gets_its_own_reply_from_one_round_trip() -> None:
    room = Room()
    tasks = [room.add(lambda name=name: room.trips.get(name)) for name in "abc"]
    assert room.turns.run()
    assert [task.result for task in tasks] == ["a", "b", "c"]
    assert room.connection.sizes == [3]


def test_responder_that_asks_twice_waits_twice() -> None:
    room = Room()
    twice = room.add(lambda: [room.trips.get("a"), room.trips.get("b")])
    once = room.add(lambda: room.trips.get("c"))
    room.turns.run()
    assert (twice.result, once.result) == (["a", "b"], "c")
    assert room.connection.sizes == [2, 1]


def test_store_that_is_away_is_told_to_everyone_who_waits() -> None:
    room = Room()
    room.connection.away = True

    def ask() -> str:
        try:
            return room.trips.get("a") or ""
        except StoreUnavailableError as exc:
            return str(exc)

    tasks = [room.add(ask) for _ in range(3)]
    room.turns.run()
    assert [task.result for task in tasks] == ["away"] * 3


def test_fault_of_one_responder_harms_no_other() -> None:
    room = Room()

    def fault() -> None:
        raise RuntimeError("a fault")

    def late_fault() -> None:
        room.trips.get("a")
        raise RuntimeError("a fault")

    room.add(fault)
    room.add(late_fault)
    task = room.add(lambda: room.trips.get("b"))
    room.turns.run()
    assert task.result == "b"


def test_what_arrives_during_a_turn_waits_for_the_next() -> None:
    room = Room()
    second = Task(lambda: room.trips.get("b"))
    room.add(lambda: room.turns.add_task(second))
    assert room.turns.run()
    assert second.result is None
    assert room.turns.run()
    assert second.result == "b"


def test_turn_without_requests_did_nothing() -> None:
    room = Room()
    assert not room.turns.run()
    assert not room.connection.sizes


def test_requests_nobody_started_are_cancelled_at_the_end() -> None:
    room = Room()
    task = room.add(lambda: None)
    assert room.turns.shutdown()
    assert task.cancelled
    assert not room.turns.shutdown()
