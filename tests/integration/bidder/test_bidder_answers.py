"""What the bidder answers over HTTP, to whatever it is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.integration.bidder.calling import BODY, NOTHING_FOR_IT, REQUEST

if TYPE_CHECKING:
    from tests.integration.bidder.calling import Caller


def test_bid_is_answered_with_json_of_the_version_spoken(caller: Caller) -> None:
    reply = caller.call()
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["x-openrtb-version"] == "2.6"
    answer = json.loads(reply.body)
    [bid] = answer["seatbid"][0]["bid"]
    assert (answer["id"], answer["cur"], bid["impid"]) == ("r-1", "USD", "1")
    assert (bid["price"], bid["cid"], bid["crid"]) == (2.0, "1", "2")
    assert bid["nurl"].startswith("https://t.example/notice/win?t=")


def test_no_bid_has_no_body_and_keeps_the_connection(caller: Caller) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    for _ in range(5):
        reply = caller.call(NOTHING_FOR_IT)
        assert (reply.status, reply.body) == (204, b"")
    assert caller.call().status == 200
    assert caller.connection.sock is sock


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b'{"id":"r"}', b"\xff\xfe", b'{"id":"r","imp":[]}']
)
def test_malformed_request_is_refused_without_a_body(caller: Caller, body: bytes) -> None:
    reply = caller.call(body)
    assert (reply.status, reply.body) == (400, b"")
    assert caller.call().status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed_and_have_no_body(caller: Caller, method: str) -> None:
    reply = caller.call(None, {}, method)
    assert (reply.status, reply.body) == (405, b"")


def test_exchange_has_a_path_and_a_seat_of_its_own(caller: Caller) -> None:
    answer = json.loads(caller.call(path="/bid-request/other-seat").body)
    assert answer["seatbid"][0]["seat"] == "seat9"
    assert json.loads(caller.call().body)["seatbid"][0]["seat"] == "seat1"
    only_seat1 = json.dumps({**REQUEST, "wseat": ["seat1"]})
    assert caller.call(only_seat1, path="/bid-request/other-seat").status == 204
    assert caller.call(only_seat1).status == 200


@pytest.mark.parametrize("name", ["nobody", "default2", "..", "OTHER-SEAT"])
def test_exchange_that_nobody_configured_does_not_exist(caller: Caller, name: str) -> None:
    reply = caller.call(path=f"/bid-request/{name}")
    assert (reply.status, reply.body) == (404, b"")


def test_plain_path_is_the_default_exchange(caller: Caller) -> None:
    assert caller.call(path="/bid-request/default").status == 200


def test_exchange_may_be_told_why_there_is_no_bid(caller: Caller) -> None:
    reply = caller.call(NOTHING_FOR_IT, path="/bid-request/telling")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(reply.body) == {"id": "r-1", "seatbid": [], "nbr": 500}
    assert caller.call(path="/bid-request/telling").status == 200
    assert caller.call(b"{", path="/bid-request/telling").status == 400


def test_exchange_with_another_currency_is_bid_to_only_in_ours(caller: Caller) -> None:
    unsaid = json.dumps({name: part for name, part in REQUEST.items() if name != "cur"})
    assert caller.call(unsaid, path="/bid-request/euros").status == 204
    assert caller.call(path="/bid-request/euros").status == 200
    assert caller.call(unsaid).status == 200


def test_requests_beyond_an_exchanges_limit_get_no_bid(caller: Caller) -> None:
    before = caller.count("rate_limit")
    statuses = [caller.call(path="/bid-request/slow").status for _ in range(30)]
    assert statuses[:3] == [200] * 3
    assert statuses.count(204) >= 20
    assert caller.count("rate_limit") - before == statuses.count(204)
    assert caller.call().status == 200


@pytest.mark.parametrize("path", ["/", "/bid", "/bid-request/x/y", "/%00", "/bid-request%20"])
def test_other_paths_do_not_exist_and_have_no_body(caller: Caller, path: str) -> None:
    reply = caller.call(path=path)
    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_told(caller: Caller, path: str) -> None:
    reply = caller.call(None, {}, "GET", path)
    assert (reply.status, json.loads(reply.body)["status"]) == (200, path.rpartition("/")[2])


def test_outcomes_are_counted(caller: Caller) -> None:
    before = {name: caller.count(name) for name in ("bid", "currency", "malformed")}
    bids = caller.metric("adctl_bids_total")
    caller.call()
    caller.call(NOTHING_FOR_IT)
    caller.call(NOTHING_FOR_IT)
    caller.call(b"{")
    assert {name: caller.count(name) - before[name] for name in before} == {
        "bid": 1,
        "currency": 2,
        "malformed": 1,
    }
    assert caller.metric("adctl_bids_total") == bids + 1
    assert caller.metric("adctl_catalog_campaigns") == 1


_JUNK = st.sampled_from(
    [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999999", b'"\\ud800"', b"true", b"0.1", b"[[[["]
)


@given(st.data())
@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_mutation_of_a_request_is_answered_with_an_error_of_ours(
    caller: Caller, data: st.DataObject
) -> None:
    body = BODY
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        until = data.draw(st.integers(at, min(len(body), at + 20)))
        body = body[:at] + data.draw(_JUNK | st.binary(max_size=8)) + body[until:]
    assert caller.call(body).status in (200, 204, 400)


@pytest.mark.parametrize(
    "value",
    [None, [], {}, "", "x", -1, 1e300, True, [None], [[]], [{}], {"a": None}, "x" * 5000],
    ids=lambda value: json.dumps(value)[:12],
)
@pytest.mark.parametrize("name", sorted(REQUEST))
def test_no_value_of_an_attribute_is_answered_with_an_error_of_ours(
    caller: Caller, name: str, value: object
) -> None:
    assert caller.call(json.dumps({**REQUEST, name: value})).status in (200, 204, 400)


def test_nothing_so_far_was_a_fault_of_ours(caller: Caller) -> None:
    assert caller.metric("adctl_bid_failures_total") == 0
