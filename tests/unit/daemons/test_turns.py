from __future__ import annotations

import gc

import greenlet

from adctl.errors import StoreUnavailableError
from daemons.turns import MOST_IDLE
from tests.unit.daemons.turning import Room, Task


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
