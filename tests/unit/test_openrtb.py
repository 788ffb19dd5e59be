from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.currency import Rates
from adctl.delivery.eligibility import bidfloor_micros
from adctl.money import MAX_CPM_MICROS, format_micros
from adctl.openrtb import (
    Bid,
    BidRequest,
    BidResponse,
    MalformedRequestError,
    SeatBid,
    decode_request,
    encode_response,
)

if TYPE_CHECKING:
    from collections.abc import Callable

VALID: dict[str, Any] = {
    "id": "r",
    "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5}],
    "site": {"domain": "news.example", "cat": ["IAB12"]},
    "device": {"geo": {"country": "USA", "lat": 42.36, "lon": -71.06}, "devicetype": 4},
    "user": {"id": "u", "data": [{"segment": [{"id": "s"}]}]},
    "tmax": 120,
}


def decode(**changes: Any) -> BidRequest:
    return decode_request(json.dumps({**VALID, **changes}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"{",
        b'{"id":"r","imp":[{"id":"1"}]} x',
        b'{"id":"r","imp":[{"id":"1"},]}',
        b"{'id':'r'}",
        b'{"id":"r","imp":[{"id":"1","bidfloor":NaN}]}',
        b'{"id":"r","imp":[{"id":"1","bidfloor":Infinity}]}',
        b'{"id":"\xff","imp":[{"id":"1"}]}',
        b'{"id":"r","imp":[{"id":"1"}],"unknown":"\xff"}',
        '{"id":"r","imp":[{"id":"1"}]}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"id=r&imp=1",
    ],
    ids=range(18),
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        decode_request(body)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": None},
        {"id": 7},
        {"imp": []},
        {"imp": None},
        {"imp": {}},
        {"imp": [None]},
        {"imp": [{}]},
        {"imp": [{"id": ""}]},
        {"imp": [{"id": 1}]},
        {"imp": [{"id": "1"}, {"id": "1"}]},
        {"app": {"bundle": "com.news.example"}},
        {"dooh": {"id": "d"}},
        {"site": {}, "app": {}},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
def test_what_cannot_be_answered_at_all_is_malformed(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(MalformedRequestError):
        decode(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"ext": {"anything": [1, {"two": None}]}},
        {"newer": "attribute"},
        {"imp": [{"id": "1", "video": {"mimes": ["video/mp4"], "plcmt": 99}, "rwdd": 1}]},
        {"device": {"devicetype": 99, "connectiontype": -1}},
        {"at": 501},
        {"source": {"ext": "anything"}},
        {"site": {"id": 7, "publisher": {"id": 123}}},
        {"user": {"geo": "Boston", "data": [{"id": 1, "segment": [{"name": 3}]}]}},
        {"allimps": True},
        {"imp": [{"id": "1", "video": {"boxingallowed": False}}]},
        {"source": {"schain": {"complete": 1}}},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
def test_unknown_attributes_and_numbers_are_tolerated(changes: dict[str, Any]) -> None:
    assert decode(**changes).id == "r"


@pytest.mark.parametrize("empty", [{}, [], "", None])
def test_inventory_with_nothing_in_it_is_not_there_beside_another(empty: Any) -> None:
    request = decode(app=empty, dooh=empty)
    assert request.site is not None
    assert (request.app, request.dooh) == (None, None)


@pytest.mark.parametrize("name", [name for name in VALID if name not in ("id", "imp")])
def test_null_is_read_as_absent(name: str) -> None:
    assert getattr(decode(**{name: None}), name) is None


@pytest.mark.parametrize("text", ["0.1", "2.675", "1e-7", "123456.654321", "3", "0"])
def test_floor_is_read_as_the_decimal_it_is(text: str) -> None:
    body = b'{"id":"r","imp":[{"id":"1","bidfloor":%s}]}' % text.encode()
    assert decode_request(body).imp[0].bidfloor == Decimal(text)


def test_request_may_have_250_imps_and_no_more() -> None:
    imps = [{"id": str(number)} for number in range(251)]
    assert len(decode(imp=imps[:250]).imp) == 250
    with pytest.raises(MalformedRequestError, match="more than 250 imps"):
        decode(imp=imps)


@pytest.mark.parametrize(
    "part",
    [
        lambda codes: {"wlang": codes},
        lambda codes: {"wlangb": codes},
        lambda codes: {"site": {"cat": codes}},
        lambda codes: {"site": {"sectioncat": codes}},
        lambda codes: {"site": {"pagecat": codes}},
        lambda codes: {"site": {"content": {"cat": codes}}},
        lambda codes: {"site": None, "app": {"cat": codes}},
    ],
)
def test_list_of_codes_may_have_1_000_and_no_more(part: Callable[..., dict[str, Any]]) -> None:
    assert decode(**part([""] * 1000))
    with pytest.raises(MalformedRequestError, match="more than 1,000 categories or languages"):
        decode(**part([""] * 1001))


@pytest.mark.parametrize("name", ["badv", "ext"])
def test_request_may_have_12_000_values_and_no_more(name: str) -> None:
    assert decode(**{name: ["x"] * 11_900})
    with pytest.raises(MalformedRequestError, match="more than 12,000 values"):
        decode(**{name: ["x"] * 12_100})


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_malformed(body: bytes) -> None:
    _decodes_or_is_malformed(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*VALID, "banner", "w", "h", "bidfloor", "geo", "ext"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*VALID, "app", "regs", "cur", "badv"]), _JSON))
def test_any_json_in_any_attribute_is_a_request_or_malformed(changes: dict[str, Any]) -> None:
    _decodes_or_is_malformed(json.dumps({**VALID, **changes}).encode())


@given(st.data())
def test_valid_request_with_bytes_overwritten_is_a_request_or_malformed(
    data: st.DataObject,
) -> None:
    body = bytearray(json.dumps(VALID).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    _decodes_or_is_malformed(bytes(body))


def _decodes_or_is_malformed(body: bytes) -> None:
    try:
        request = decode_request(body)
    except MalformedRequestError:
        return
    assert request.id
    assert len({imp.id for imp in request.imp}) == len(request.imp) > 0
    assert all((bidfloor_micros(imp, Rates("USD")) or 0) >= 0 for imp in request.imp)


def response(price: str, request_id: str = "r") -> BidResponse:
    bid = Bid(
        id="b",
        impid="1",
        price=msgspec.Raw(price.encode()),
        adm="<b>",
        nurl="n",
        burl="b",
        lurl="l",
        adomain=("a.example",),
        cid="1",
        crid="2",
        w=300,
        h=250,
        mtype=1,
        exp=3600,
    )
    return BidResponse(request_id, [SeatBid(bid=[bid], seat="seat1")], "b", "USD")


@given(st.integers(1, MAX_CPM_MICROS))
def test_price_on_the_wire_is_a_number_exact_to_the_micro(micros: int) -> None:
    encoded = encode_response(response(format_micros(micros)))
    price = json.loads(encoded, parse_float=Decimal)["seatbid"][0]["bid"][0]["price"]
    assert isinstance(price, Decimal)
    assert price * 1_000_000 == micros


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_id_is_echoed_exactly(text: str) -> None:
    assert json.loads(encode_response(response("1.00", text)))["id"] == text


def test_attributes_that_were_not_set_are_left_out() -> None:
    bid = json.loads(encode_response(response("1.00")))["seatbid"][0]["bid"][0]
    assert not {"cat", "cattax", "attr", "language"} & bid.keys()
    assert {"mtype", "crid", "adomain", "cid", "exp"} <= bid.keys()
