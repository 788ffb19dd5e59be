from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.signing_keys import KeyHolder, choose, fingerprint, in_use

OLD, NEW = bytes(32), bytes([1] * 32)
KEYS = {2: NEW, 1: OLD}
MARKS = {number: fingerprint(key) for number, key in KEYS.items()}
NOW_MS = 1_000_000


def holder(*ids: int, **changes: Any) -> KeyHolder:
    told: dict[str, Any] = {
        "daemon": "tracker",
        "host": "a",
        "port": 8081,
        "slot": 0,
        "parent": 10,
        "pid": 11,
        "signs_with": 1,
        "verifies": True,
        "told_ms": NOW_MS,
    }
    return KeyHolder(holds={number: MARKS[number] for number in ids}, **{**told, **changes})


def test_the_first_key_signs_where_nobody_is_known_to_verify() -> None:
    assert choose(KEYS, []) == 2


def test_a_key_that_one_tracker_does_not_know_does_not_sign() -> None:
    assert choose(KEYS, [holder(1, 2), holder(1, pid=12)]) == 1


def test_the_first_key_signs_once_all_who_verify_hold_it() -> None:
    assert choose(KEYS, [holder(1, 2), holder(2, pid=12)]) == 2


def test_a_key_of_the_same_id_and_another_secret_is_not_known() -> None:
    stranger = KeyHolder("tracker", "a", 1, 0, 1, 1, {2: "other", 1: MARKS[1]}, 1, verifies=True)
    assert choose(KEYS, [stranger]) == 1


def test_who_only_signs_need_not_know_a_key() -> None:
    assert choose(KEYS, [holder(1, daemon="bidder", verifies=False), holder(1, 2)]) == 2


def test_without_a_key_that_all_hold_the_first_signs() -> None:
    assert choose(KEYS, [holder(2), holder(1, pid=12)]) == 2


@given(st.lists(st.sets(st.sampled_from([1, 2, 3]), min_size=1), max_size=5))
def test_what_signs_is_refused_by_nobody_if_there_is_such_a_key(held: list[set[int]]) -> None:
    keys = {3: bytes([3] * 32), **KEYS}
    marks = {number: fingerprint(key) for number, key in keys.items()}
    holders = [
        KeyHolder("tracker", "a", 1, n, 1, n, {i: marks[i] for i in ids}, 1, verifies=True)
        for n, ids in enumerate(held)
    ]
    known_to_all = set(keys).intersection(*held)
    chosen = choose(keys, holders)
    assert chosen in known_to_all or not known_to_all


def test_a_silent_worker_counts_until_its_place_is_taken() -> None:
    silent = holder(1, told_ms=0)
    elsewhere = holder(1, 2, port=9000, pid=20)
    assert in_use([silent, elsewhere], NOW_MS) == [silent, elsewhere]
    assert in_use([silent, holder(1, 2, pid=20)], NOW_MS) == [holder(1, 2, pid=20)]


def test_a_silent_worker_of_a_daemon_that_was_started_again_is_gone() -> None:
    silent, started = holder(1, told_ms=0, slot=3), holder(1, 2, parent=50, pid=51)
    assert in_use([silent, started], NOW_MS) == [started]


def test_a_worker_that_drains_counts_beside_its_successor() -> None:
    draining, successor = holder(1), holder(1, 2, pid=20)
    assert in_use([draining, successor], NOW_MS) == [draining, successor]


def test_a_fingerprint_shows_nothing_of_the_key() -> None:
    assert len(MARKS[1]) == 8
    assert MARKS[1] not in OLD.hex()
    assert MARKS[1] != MARKS[2]
