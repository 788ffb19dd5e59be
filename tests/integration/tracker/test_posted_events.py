"""Events that servers post, one or many: each gets a verdict, and what is good is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.integration.tracker.street import FORGER, Reply, Street, token_of

if TYPE_CHECKING:
    from adctl.delivery.tokens import BidToken

DAY_MS = 86_400_000


def item(bid: BidToken, kind: str = "impression", **more: object) -> dict[str, object]:
    return {"kind": kind, "token": token_of(bid, kind), "price": "1.5", **more}


def verdicts(reply: Reply) -> list[str]:
    return [one["verdict"] for one in msgspec.json.decode(reply.body)["verdicts"]]


def faults(reply: Reply, place: int = 0) -> dict[str, str]:
    told = msgspec.json.decode(reply.body)["verdicts"][place]["faults"]
    return {fault["field"]: fault["expected"] for fault in told}


def test_one_event_is_taken_and_costs_what_it_tells(street: Street) -> None:
    reply = street.post(item(street.bid()))
    assert (reply.status, verdicts(reply)) == (200, ["taken"])
    assert (street.money.spent, street.money.reserved) == (1_500_000, 0)


def test_batch_has_a_verdict_for_each_event_in_its_order(street: Street) -> None:
    bids = [street.bid() for _ in range(4)]
    reply = street.post(
        [
            item(bids[0], "win"),
            item(bids[1]),
            item(bids[2], token=token_of(bids[2], "impression", FORGER)),
            item(bids[1]),
            item(bids[3], "loss", loss=102),
        ]
    )
    assert reply.status == 200
    assert verdicts(reply) == ["taken", "taken", "rejected", "duplicate", "taken"]
    assert [event.kind for event in street.events] == ["win", "impression", "loss"]
    assert street.events[2].loss_reason == 102


def test_everything_wrong_with_an_event_is_told_at_once(street: Street) -> None:
    bad = {
        "kind": "view",
        "token": [1],
        "advertiser_key": [],
    }
    reply = street.post([bad, item(street.bid())])
    assert (reply.status, verdicts(reply)) == (200, ["rejected", "taken"])
    told = faults(reply)
    assert set(told) == {"kind", "token", "advertiser_key"}
    assert told["kind"] == "one of impression, click, conversion, win, bill, loss"


SPOILT = {
    "price": ["1"],
    "quantity": True,
    "min_to_win": {},
    "market_bid_ratio": "a",
    "shown_at_ms": "soon",
    "colour": "red",
    "order_id": "A-1",
}


def test_detail_that_cannot_be_read_is_left_out_and_said_and_the_event_counts(
    street: Street,
) -> None:
    bids = [street.bid() for _ in range(2)]
    reply = street.post([item(bids[0], **SPOILT), item(bids[1])])
    assert (reply.status, verdicts(reply)) == (200, ["taken", "taken"])
    first, second = msgspec.json.decode(reply.body)["verdicts"]
    left_out = {
        "unknown" if one["field"] == "unknown" else one["field"] for one in first["left_out"]
    }
    assert left_out == {*SPOILT, "unknown"} - {"colour"}
    assert "left_out" not in second
    assert [event.order_id for event in street.events] == ["", ""]


def test_conversion_of_which_nothing_can_be_read_but_whose_it_is_counts(street: Street) -> None:
    told = {"value": [12], "currency": 5, "order_id": "{{order}}", "user_id": {}}
    item = {"kind": "conversion", "token": token_of(street.bid(), "conversion"), **told}
    reply = street.post(item)
    assert verdicts(reply) == ["taken"]
    [verdict] = msgspec.json.decode(reply.body)["verdicts"]
    assert {one["field"] for one in verdict["left_out"]} == set(told)


def test_another_order_makes_no_other_impression_of_one(street: Street) -> None:
    bid = street.bid()
    reply = street.post([item(bid, order_id="1"), item(bid, order_id="2")])
    assert verdicts(reply) == ["taken", "duplicate"]


def test_number_is_as_good_as_text_and_exact(street: Street) -> None:
    token = token_of(street.bid(), "conversion")
    reply = street.post(
        f'{{"kind": "conversion", "token": "{token}", "value": 0.100000001, "order_id": 7}}'
    )
    assert verdicts(reply) == ["taken"]
    assert (street.events[0].value_nanos, street.events[0].order_id) == (100_000_001, "7")


def test_number_no_decimal_can_hold_costs_no_other_event(street: Street) -> None:
    tokens = [token_of(street.bid(), "impression") for _ in range(2)]
    items = ",".join(
        f'{{"kind": "impression", "token": "{token}", "price": {price}}}'
        for token, price in zip(tokens, ("1e99999999999999999999", "1.5"), strict=True)
    )
    assert verdicts(street.post(f"[{items}]")) == ["taken", "taken"]
    assert [event.unpriced for event in street.events] == [True, False]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda bid, text: text[:-8], "cut short"),
        (lambda bid, text: text.replace(".", ""), "token"),
        (lambda bid, text: "x" * 600, "too long"),
        (lambda bid, text: token_of(bid, "click"), "signature"),
        (lambda bid, text: token_of(moved(bid, -DAY_MS), "impression"), "more than"),
        (lambda bid, text: token_of(moved(bid, DAY_MS), "impression"), "has not been made"),
        (lambda bid, text: "", "token"),
    ],
    ids=["truncated", "undotted", "too long", "a click's", "expired", "future clock", "missing"],
)
def test_token_that_does_not_count_is_told_why(street: Street, spoil: object, word: str) -> None:
    bid = street.bid()
    reply = street.post(item(bid, token=spoil(bid, token_of(bid, "impression"))))  # type: ignore[operator]
    assert (reply.status, verdicts(reply)) == (400, ["rejected"])
    assert word in faults(reply)["token"]
    assert not street.events


def moved(bid: BidToken, by_ms: int) -> BidToken:
    return msgspec.structs.replace(bid, bid_at_ms=bid.bid_at_ms + by_ms)


def test_thousand_events_are_taken_at_once(street: Street) -> None:
    bid = street.bid()
    bids = [msgspec.structs.replace(bid, bid_id=f"{n:024x}") for n in range(10**6, 10**6 + 1000)]
    reply = street.post([item(one, "click") for one in bids])
    assert (reply.status, verdicts(reply)) == (200, ["taken"] * 1000)
    assert [event.bid_id for event in street.events] == [one.bid_id for one in bids]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ("kind=click&token=x", "no JSON"),
        ([], "0 events"),
        ([{}] * 1001, "1001 events"),
    ],
    ids=["nothing", "cut", "no text", "nested", "a form", "no events", "too many"],
)
def test_body_that_makes_no_sense_is_refused_as_a_whole(
    street: Street, body: object, word: str
) -> None:
    reply = street.post(body)
    assert reply.status == 400
    assert word in reply.body.decode()


@pytest.mark.parametrize("told", [None, 1, "x", [], True, {}, {"kind": None}])
def test_thing_that_is_no_event_is_rejected(street: Street, told: object) -> None:
    reply = street.post([told])
    assert (reply.status, verdicts(reply)) == (400, ["rejected"])


def test_body_beyond_a_mebibyte_is_too_large(street: Street) -> None:
    # Answered from its length alone, before all of it has come.
    street.connection.putrequest("POST", "/events")
    street.connection.putheader("Content-Length", str((1 << 20) + 1))
    street.connection.endheaders()
    assert street.connection.getresponse().status == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_events_are_posted_only(street: Street, method: str) -> None:
    reply = street.post(b"", method)
    assert reply.status == 405
    assert reply.headers["Allow"].split(", ") == ["POST", "OPTIONS"]


# What one item can have that nobody reads, as text of JSON.
SPOILT_ITEMS = {
    "a list for a kind": '{"kind":["a"]}',
    "an object for a kind": '{"kind":{"a":{}}}',
    "a number for a kind": '{"kind":1e400}',
    "a truth for a token": '{"kind":"win","token":true}',
    "a list for a key": '{"kind":"conversion","advertiser_key":[[]],"order_id":[],"user_id":{}}',
    "a number without an end": f'{{"kind":"win","token":{"9" * 5000}}}',
    "half a character": '{"kind":"win","token":"\\ud800"}',
    "half a character in a user": '{"kind":"conversion","advertiser_key":"a","user_id":"\\udc00"}',
    "a deep list": f'{{"kind":{"[" * 500}{"]" * 500}}}',
    "a long text": f'{{"kind":"{"x" * 100_000}","token":"{"y" * 100_000}"}}',
    "the same fields again and again": "{" + '"kind":"win",' * 5000 + '"kind":[]}',
    "a NUL": '{"kind":"win\\u0000","token":"\\u0000"}',
    "nothing": "null",
    "no object": "[[]]",
}


@pytest.mark.parametrize("spoilt", SPOILT_ITEMS.values(), ids=SPOILT_ITEMS.keys())
def test_item_that_makes_no_sense_is_rejected_alone_and_in_few_words(
    street: Street, spoilt: str
) -> None:
    good = [msgspec.json.encode(item(street.bid())).decode() for _ in range(2)]
    reply = street.post(f"[{good[0]},{spoilt},{good[1]}]")
    assert reply.status == 200
    assert verdicts(reply) == ["taken", "rejected", "taken"]
    assert len(reply.body) < 1500


def test_item_with_bytes_that_are_no_text_is_rejected_alone(street: Street) -> None:
    good = msgspec.json.encode(item(street.bid()))
    reply = street.post(b"[" + good + b',{"kind":"\xff"}]')
    assert verdicts(reply) == ["taken", "rejected"]


def test_unknown_fields_by_the_ten_thousand_are_told_in_as_few_words_as_a_few(
    street: Street,
) -> None:
    strange = {f"x{n}": 0 for n in range(90_000)}
    reply = street.post(msgspec.json.encode(strange))
    assert (reply.status, verdicts(reply)) == (400, ["rejected"])
    assert len(reply.body) < 1500
    reply = street.post([{**item(street.bid()), **strange}])
    assert (reply.status, verdicts(reply)) == (200, ["taken"])
    [left_out] = msgspec.json.decode(reply.body)["verdicts"][0]["left_out"]
    assert left_out["got"].startswith("x0, x1, x2 and ")


def test_what_is_wrong_with_a_batch_is_told_up_to_a_number_and_how_much_more_there_is(
    street: Street,
) -> None:
    reply = street.post([{}] * 1000)
    told = msgspec.json.decode(reply.body)
    assert len(told["verdicts"]) == 1000
    assert {verdict["verdict"] for verdict in told["verdicts"]} == {"rejected"}
    assert sum(len(verdict["faults"]) for verdict in told["verdicts"]) == 1000
    assert told["untold"] == 1000
