from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import greenlet

from adctl.errors import StoreUnavailableError
from adctl.stores.round_trip import RoundTrips
from daemons.turns import MOST_IDLE, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence


class Connection:
    """Answers GET with the key's name, and notes what was sent together, and what then happened."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.log: list[str] = []
        self.away = False
        self.fails_after = 1_000
        self.fails_reading = ""

    def begin(self, commands: Sequence[Any]) -> Callable[[], list[Any]]:
        self.sizes.append(len(commands))
        names = [command[1] for command in commands]
        self.log.append(f"sent {' '.join(names)}")
        if self.away or len(self.sizes) > self.fails_after:
            raise StoreUnavailableError("away")
        return lambda: self._received(names)

    def _received(self, names: list[str]) -> list[Any]:
        self.log.append(f"read {' '.join(names)}")
        if "lost" in names or self.fails_reading in names:
            raise StoreUnavailableError("lost")
        return names


class Task:
    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.result: object = None
        self.cancelled = False

    def begin(self) -> None:
        """Go the long way."""

    def service(self) -> None:
        self.result = self._work()

    def cancel(self) -> None:
        self.cancelled = True


class Room:
    def __init__(self, *, ahead: bool = False) -> None:
        self.connection = Connection()
        self.trips = RoundTrips(self.connection)  # type: ignore[arg-type]
        self.meanwhile: list[int] = []
        self.turns = Turns(
            self.trips,
            ask=self.ask,
            meanwhile=self.do_meanwhile,
            ahead=self.trips if ahead else None,
        )

    def do_meanwhile(self) -> None:
        self.meanwhile.append(len(self.connection.log))

    def ask(self, vote: Any, resume: Callable[[Any], object]) -> None:
        """Have a letter answered with itself."""
        if not vote.isalpha():
            raise StoreUnavailableError("not a vote")
        self.trips.run_for(SimpleNamespace(sha=vote, source="", name="vote"), [], [], resume)  # type: ignore[arg-type]

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


def test_many_are_sent_by_fours_while_others_still_ask_and_read_in_their_order() -> None:
    room = Room()

    def ask(name: str) -> str | None:
        room.connection.log.append(f"asks {name}")
        return room.trips.get(name)

    tasks = [room.add(lambda name=name: ask(name)) for name in "abcdef"]
    room.turns.run()
    assert [task.result for task in tasks] == list("abcdef")
    assert room.connection.log == [
        *(f"asks {name}" for name in "abcd"),
        "sent a b c d",
        *(f"asks {name}" for name in "ef"),
        "sent e f",
        "read a b c d",
        "read e f",
    ]


def failed_or_name(room: Room, name: str) -> str:
    try:
        return room.trips.get(name) or ""
    except StoreUnavailableError as exc:
        return str(exc)


def test_after_a_reply_that_is_missing_no_reply_is_taken_for_another() -> None:
    room = Room()
    names = [*"abcd", "lost", *"fghij"]
    tasks = [room.add(lambda name=name: failed_or_name(room, name)) for name in names]
    room.turns.run()
    assert [task.result for task in tasks] == [*"abcd", *["lost"] * 6]
    assert room.connection.log[-1] == "read lost f g h"
    again = room.add(lambda: room.trips.get("a"))
    room.turns.run()
    assert again.result == "a"


def test_after_a_write_that_fails_nothing_more_is_sent_nor_read_in_that_turn() -> None:
    room = Room()
    room.connection.fails_after = 1
    tasks = [room.add(lambda: failed_or_name(room, "a")) for _ in range(10)]
    room.turns.run()
    assert [task.result for task in tasks] == ["away"] * 10
    assert room.connection.log == ["sent a a a a"] * 2


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


def test_request_that_gives_way_goes_on_in_the_next_turn_and_others_are_answered_before() -> None:
    room = Room()
    done: list[str] = []

    def much() -> None:
        for part in "123":
            done.append(f"{part}{room.trips.get(part)}")
            room.turns.give_way()

    room.add(much)
    room.turns.run()
    room.add(lambda: done.append("another"))
    for _ in range(3):
        assert room.turns.run()
    assert done == ["11", "another", "22", "33"]
    assert not room.turns.run()


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


class Stepping:
    """A request answered in steps: it takes so many, asks, and takes as many again."""

    def __init__(self, room: Room, name: str, votes: str = "", steps: int = 2) -> None:
        self.room, self.name, self.votes, self.count = room, name, votes, steps
        self.told: list[object] = []
        room.turns.add_task(self)

    def begin(self) -> Generator[Any, Any, None]:
        return self.steps()

    def steps(self) -> Generator[Any, Any, None]:
        for step in range(1, self.count + 1):
            self.room.connection.log.append(f"{self.name}{step}")
            yield None
        for vote in self.votes:
            try:
                self.told.append((yield vote))
            except StoreUnavailableError as exc:
                self.told.append(str(exc))
            self.room.connection.log.append(f"{self.name} was told")
            yield None

    def service(self) -> None:
        raise AssertionError

    cancel = service


def test_requests_of_a_turn_take_every_step_together() -> None:
    room = Room()
    for name in "abc":
        Stepping(room, name, steps=3)
    assert room.turns.run()
    assert room.connection.log == [f"{name}{step}" for step in (1, 2, 3) for name in "abc"]


def test_votes_share_a_round_trip_and_each_is_told_its_own_verdict() -> None:
    room = Room()
    many = [Stepping(room, name, name.upper()) for name in "ab"]
    room.turns.run()
    assert [one.told for one in many] == [["A"], ["B"]]
    assert room.connection.sizes == [2]


def test_votes_and_greenlets_share_a_round_trip() -> None:
    room = Room()
    plain, stepping = room.add(lambda: room.trips.get("p")), Stepping(room, "a", "A")
    room.turns.run()
    assert (plain.result, stepping.told) == ("p", ["A"])
    assert room.connection.sizes == [2]


def test_who_has_nothing_to_ask_does_not_wait_for_who_has() -> None:
    room = Room()
    Stepping(room, "a", "A", steps=1)
    Stepping(room, "b", steps=3)
    room.turns.run()
    assert room.connection.log == ["a1", "b1", "b2", "b3", "sent A", "read A", "a was told"]


def test_second_vote_of_a_request_goes_into_the_next_round_trip() -> None:
    room = Room()
    twice, once = Stepping(room, "a", "AX"), Stepping(room, "b", "B")
    room.turns.run()
    assert (twice.told, once.told) == (["A", "X"], ["B"])
    assert room.connection.sizes == [2, 1]


def test_store_that_fails_is_thrown_into_the_steps_that_asked() -> None:
    room = Room()
    room.connection.away = True
    many = [Stepping(room, name, "A") for name in "ab"]
    room.turns.run()
    assert [one.told for one in many] == [["away"], ["away"]]


def test_vote_that_cannot_be_asked_is_told_so_and_holds_nobody_up() -> None:
    room = Room()
    bad, good = Stepping(room, "a", "!"), Stepping(room, "b", "B")
    room.turns.run()
    assert (bad.told, good.told) == (["not a vote"], ["B"])


def test_steps_that_raise_hold_nobody_up() -> None:
    room = Room()

    class Failing(Stepping):
        def steps(self) -> Generator[Any, Any, None]:
            yield None
            raise RuntimeError

    Failing(room, "f")
    other = Stepping(room, "a", "A")
    room.turns.run()
    assert other.told == ["A"]


def turn_of(room: Room, names: str) -> list[Stepping]:
    """Have a request for each letter arrive and take its steps, as far as they go in this turn."""
    many = [Stepping(room, name, name.upper(), steps=0) for name in names]
    room.turns.run()
    return many


def told_in(many: list[Stepping]) -> list[object]:
    return [told for one in many for told in one.told]


def test_other_work_is_done_once_a_turn_while_redis_has_its_own() -> None:
    room = Room(ahead=True)
    turn_of(room, "abc")
    assert room.connection.log[:2] == ["sent A B C", "read A B C"]
    assert room.meanwhile == [1]
    room.turns.run()
    assert len(room.meanwhile) == 2


def test_votes_of_many_are_read_after_the_next_turns_requests_have_asked() -> None:
    room = Room(ahead=True)
    first = turn_of(room, "abcd")
    assert told_in(first) == []
    second = turn_of(room, "efgh")
    assert told_in(first) == list("ABCD")
    assert told_in(second) == []
    assert [line for line in room.connection.log if line[:4] in ("sent", "read")] == [
        "sent A B C D",
        "sent E F G H",
        "read A B C D",
    ]


def test_votes_are_read_at_once_where_nothing_more_arrives() -> None:
    room = Room(ahead=True)
    many = turn_of(room, "abcde")
    assert room.turns.run()
    assert told_in(many) == list("ABCDE")
    assert not room.turns.run()


def test_votes_of_few_are_read_in_their_own_turn_and_those_before_them() -> None:
    room = Room(ahead=True)
    many, few = turn_of(room, "abcd"), turn_of(room, "ef")
    assert (told_in(many), told_in(few)) == (list("ABCD"), ["E", "F"])


def test_second_votes_are_told_in_a_later_turn_to_who_asked() -> None:
    room = Room(ahead=True)
    twice = [Stepping(room, name, name.upper() + "X", steps=0) for name in "abcd"]
    room.turns.run()
    others = turn_of(room, "efgh")
    while room.turns.run():
        pass
    assert [one.told for one in twice] == [["A", "X"], ["B", "X"], ["C", "X"], ["D", "X"]]
    assert told_in(others) == list("EFGH")


def test_reply_that_is_missing_takes_with_it_what_was_sent_in_the_next_turn() -> None:
    room = Room(ahead=True)
    first = [Stepping(room, name, "L", steps=0) for name in "abcd"]
    room.connection.fails_reading = "L"
    room.turns.run()
    second = turn_of(room, "efgh")
    assert told_in(first) == ["lost"] * 4
    assert room.turns.run()
    assert told_in(second) == ["lost"] * 4
    assert "read E F G H" not in room.connection.log
    assert told_in(turn_of(room, "i")) == ["I"]


def test_write_that_fails_takes_with_it_what_was_not_read_yet() -> None:
    room = Room(ahead=True)
    first = turn_of(room, "abcd")
    room.connection.away = True
    second = turn_of(room, "efgh")
    room.turns.run()
    assert told_in(first) + told_in(second) == ["away"] * 8
    assert not any(line.startswith("read") for line in room.connection.log)
    room.connection.away = False
    assert told_in(turn_of(room, "i")) == ["I"]


def test_greenlets_are_used_again_also_after_one_has_raised() -> None:
    room, seen = Room(), list[greenlet.greenlet]()

    def work(name: str) -> None:
        seen.append(greenlet.getcurrent())
        room.trips.get(name)
        raise RuntimeError

    for turn in ("ab", "cd"):
        for name in turn:
            room.add(lambda name=name: work(name))
        room.turns.run()
    assert len(seen) == 4
    assert set(seen[:2]) == set(seen[2:])


def test_only_so_many_greenlets_are_kept() -> None:
    room = Room()
    tasks = [room.add(lambda: room.trips.get("a")) for _ in range(MOST_IDLE + 10)]
    before = sum(isinstance(one, greenlet.greenlet) for one in gc.get_objects())
    room.turns.run()
    assert all(task.result == "a" for task in tasks)
    gc.collect()
    kept = sum(isinstance(one, greenlet.greenlet) for one in gc.get_objects()) - before
    assert kept <= MOST_IDLE
