"""Whose request it is, for every combination of what is told of the user."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from adctl.delivery.identity import IdentityPolicy, user_id_of
from adctl.openrtb import decode_request

POLICY = IdentityPolicy()
EIDS_FIRST = IdentityPolicy(sources=("eids:uidapi.com", "ifa", "user.id"))
NONE_OF_THEM = ("null", "00000000-0000-0000-0000-000000000000", "%%USER_ID%%", " ")
STATES = ("absent", "none", "real")
PLACES = ("buyeruid", "id", "ifa", "eids", "older eids")


def known(policy: IdentityPolicy = POLICY, **parts: Any) -> str:
    whole = {"id": "r", "imp": [{"id": "1"}], **parts}
    return user_id_of(decode_request(json.dumps(whole).encode()), policy)


def known_by(*eids: Any, policy: IdentityPolicy = POLICY) -> str:
    return known(policy, user={"eids": list(eids)})


def eid(source: str, *ids: Any, atype: Any = None, **more: Any) -> dict[str, Any]:
    return {"source": source, "uids": [{"id": one, "atype": atype} for one in ids], **more}


@pytest.mark.parametrize("states", list(product(STATES, repeat=len(PLACES))), ids="-".join)
def test_first_source_with_an_id_says_who_it_is(states: tuple[str, ...]) -> None:
    told: dict[str, str | None] = {}
    for number, (place, state) in enumerate(zip(PLACES, states, strict=True)):
        ids = {"absent": None, "none": NONE_OF_THEM[number % 4], "real": f"of {place}"}
        told[place] = ids[state]

    def one_eid(place: str) -> list[dict[str, Any]] | None:
        return [eid("shared.example", told[place])] if told[place] else None

    user = {
        "buyeruid": told["buyeruid"],
        "id": told["id"],
        "eids": one_eid("eids"),
        "ext": {"eids": one_eid("older eids")},
    }
    real = [f"of {place}" for place, state in zip(PLACES, states, strict=True) if state == "real"]
    expected = real[0] if real else ""
    if "eids" in expected:
        expected = f"shared.example:{expected}"
    assert known(user=user, device={"ifa": told["ifa"]}) == expected


@pytest.mark.parametrize("parts", [{}, {"user": None}, {"device": None}, {"user": {"ext": {}}}])
def test_request_that_tells_of_nobody_is_nobodys(parts: dict[str, Any]) -> None:
    assert known(**parts) == ""


def test_order_of_the_sources_is_the_configurations() -> None:
    user = {"buyeruid": "b", "id": "u", "eids": [eid("uidapi.com", "p"), eid("a.example", "q")]}
    device = {"ifa": "d"}
    assert known(user=user, device=device) == "b"
    assert known(EIDS_FIRST, user=user, device=device) == "uidapi.com:p"
    assert (
        known(EIDS_FIRST, user={"id": "u", "eids": [eid("a.example", "q")]}, device=device) == "d"
    )
    assert known(IdentityPolicy(sources=()), user=user, device=device) == ""


@pytest.mark.parametrize("turned", [False, True])
def test_any_source_means_those_of_persons_then_by_the_alphabet(turned: bool) -> None:
    told = [
        eid("b.example", "1", atype=3),
        eid("c.example", "2", atype=3),
        eid("a.example", "3", atype=1),
    ]
    assert known_by(*(reversed(told) if turned else told)) == "b.example:1"
    assert known_by(told[2], eid("z.example", "4", atype=2)) == "a.example:3"


def test_named_source_comes_before_any_other() -> None:
    assert known_by(eid("a.example", "1", atype=3), eid("ID5-sync.com", "2")) == "id5-sync.com:2"


@pytest.mark.parametrize(
    ("uids", "expected"),
    [
        ([{"id": "1"}, {"id": "1", "atype": 1}], "a.example:1"),
        ([{"id": "1", "atype": 3}, {"id": "1", "atype": 1}], "a.example:1"),
        ([{"id": "1", "atype": 1}, {"id": "2", "atype": 1}], ""),
        ([{"id": "1", "atype": 1}, {"id": "2", "atype": 3}], "a.example:2"),
        ([{"id": "1", "atype": "3"}, {"id": "2", "atype": "1"}], "a.example:1"),
        ([{"id": "1", "atype": 3}, {"id": "2", "atype": 3}], ""),
        ([{"id": "null"}, {"id": "2"}, {"id": None}, {}], "a.example:2"),
        ([{"id": 17}], "a.example:17"),
        ([{"id": True}, {"id": [1]}, {"id": {}}, {"id": 1.5}], ""),
        ([{"id": "0"}], ""),
        # What one advertiser alone can read, and what is another token every few hours.
        ([{"id": "1", "atype": 571187}], ""),
        ([{"id": "ID5*9MbK0Gzp"}], ""),
        ([{"id": "A4AAAABUY2hl" * 12}], ""),
        ([], ""),
    ],
)
def test_source_knows_a_user_by_one_id_that_can_be_one(
    uids: list[dict[str, Any]], expected: str
) -> None:
    assert known_by({"source": "a.example", "uids": uids}) == expected


def test_source_that_is_told_twice_must_say_the_same() -> None:
    assert known_by(eid("a.example", "1"), eid("A.example", "1")) == "a.example:1"
    assert known_by(eid("a.example", "1"), eid("a.example", "2")) == ""


def test_newer_place_counts_and_the_older_where_it_has_nothing() -> None:
    user = {
        "eids": [eid("b.example", "new"), eid("a.example", "null")],
        "ext": {"eids": [eid("b.example", "old"), eid("a.example", "other")]},
    }
    assert known(user=user) == "a.example:other"
    assert known(user={**user, "ext": {"eids": user["ext"]["eids"][:1]}}) == "b.example:new"


@pytest.mark.parametrize(
    ("inferred", "matcher", "expected"),
    [
        ("by_source", None, "a.example:1"),
        ("by_source", "", "a.example:1"),
        ("by_source", "A.example", "a.example:1"),
        ("by_source", "graph.example", ""),
        ("always", "graph.example", "a.example:1"),
        ("never", None, ""),
        ("never", "a.example", ""),
    ],
)
@pytest.mark.parametrize("mm", [5, "5"])
def test_inferred_id_is_believed_as_the_configuration_says(
    inferred: Any, matcher: str | None, expected: str, mm: object
) -> None:
    policy = IdentityPolicy(inferred=inferred)
    assert known_by(eid("a.example", "1", mm=mm, matcher=matcher), policy=policy) == expected


@pytest.mark.parametrize("mm", [None, 0, 1, 2, 3, 4, "3", 6, 500, "x", [], 1.5])
def test_id_that_is_not_said_to_be_inferred_is_believed(mm: object) -> None:
    policy = IdentityPolicy(inferred="never")
    assert known_by(eid("a.example", "1", mm=mm), policy=policy) == "a.example:1"


def test_inferred_id_is_the_last_one_taken() -> None:
    guess = eid("uidapi.com", "guess", mm=5, atype=3)
    assert known_by(guess, eid("z.example", "1", mm=4)) == "z.example:1"
    assert known(user={"eids": [guess]}, device={"ifa": "d"}) == "d"
    assert known(EIDS_FIRST, user={"eids": [guess]}, device={"ifa": "d"}) == "d"
    assert known_by(guess, eid("uidapi.com", "seen", mm=3)) == "uidapi.com:seen"
    assert known_by(guess) == "uidapi.com:guess"


@pytest.mark.parametrize(("inserter", "is_known"), [("SSP.example", True), ("x.example", False)])
def test_only_those_who_may_insert_ids_are_believed(inserter: str, is_known: bool) -> None:
    policy = IdentityPolicy(inserters=frozenset(("ssp.example",)))
    told = eid("a.example", "1", inserter=inserter)
    assert known_by(told, policy=policy) == ("a.example:1" if is_known else "")
    assert known_by(eid("a.example", "1"), policy=policy) == ""


@pytest.mark.parametrize(
    "broken",
    [
        *(None, 17, "x", [], {}, {"source": "b.example"}, {"source": 1, "uids": [{"id": "1"}]}),
        *({"source": "b.example", "uids": one} for one in (None, {}, "x", [1], [[]], [None])),
        {"uids": [{"id": "1"}]},
        eid("", "1"),
        eid("null", "1"),
    ],
)
def test_broken_extended_id_costs_itself_alone(broken: Any) -> None:
    assert known_by(broken) == ""
    assert known_by(broken, eid("c.example", "1"), broken) == "c.example:1"


@pytest.mark.parametrize("eids", [None, 17, "x", {}, True, {"a": [1.5]}])
def test_extended_ids_that_are_no_list_cost_the_request_nothing(eids: Any) -> None:
    assert known(user={"eids": eids, "ext": {"eids": eids}}, device={"ifa": "d"}) == "d"
    assert known(user={"eids": eids}) == ""


def test_one_extended_id_outside_of_a_list_is_read() -> None:
    assert known(user={"eids": eid("a.example", "1")}) == "a.example:1"


def test_of_more_extended_ids_than_anybody_sends_the_first_are_read() -> None:
    many = [eid(f"s{number}.example", "null") for number in range(200)]
    assert known_by(*many[:-1], eid("a.example", "1")) == "a.example:1"
    assert known_by(*many, eid("a.example", "1")) == ""
