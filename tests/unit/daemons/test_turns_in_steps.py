from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adctl.errors import StoreUnavailableError
from tests.unit.daemons.turning import Room

if TYPE_CHECKING:
    from collections.abc import Generator


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
