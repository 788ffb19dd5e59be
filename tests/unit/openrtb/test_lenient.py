"""What is read of values that have not their attribute's type, for every attribute there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.openrtb import App, BidRequest, Dooh, MalformedRequestError, Site
from adctl.openrtb.lenient import DROPPED, REFUSED, STRICT
from adctl.openrtb.scalars import MAX_FAULTS
from adctl.openrtb.unreadable import RULES
from tests.unit.openrtb.samples import (
    Attribute,
    attributes_of,
    changed,
    decision_of,
    decoded,
    full_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.openrtb.samples import Json, Step

ATTRIBUTES = list(attributes_of(BidRequest))
INVENTORY = {"app": App, "dooh": Dooh}
MEDIA = ("banner", "video", "audio", "native")

each_attribute = pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda one: one.path)


def full_for(attribute: Attribute) -> Json:
    return full_request(INVENTORY.get(str(attribute.steps[0]), Site))


def value_at(request: Json, steps: tuple[Step, ...]) -> Any:
    inner: Any = request
    for step in steps:
        inner = inner[step]
    return inner


def spellings(attribute: Attribute, plain: Any) -> Iterator[Any]:
    """Yield what plainly means ``plain``, the attribute's value, in other types."""
    # What may be a text or a number is as it should be in either.
    if attribute.rule.as_is or attribute.steps == ("imp",) or attribute.kinds > {"text"}:
        return
    if "list" in attribute.kinds:
        yield [*plain, None]
        if "object" not in attribute.entries:
            others = [] if attribute.rule.words else list(_scalars(attribute.entries, plain[0]))
            yield from ([other] for other in others)
            yield from (*others, plain[0])
    elif "object" not in attribute.kinds:
        told = list(_scalars(attribute.kinds, plain))
        yield from (one for one in told if not (attribute.rule.digits and isinstance(one, str)))


def _scalars(kinds: frozenset[str], plain: Any) -> Iterator[Any]:
    if isinstance(plain, str):
        yield from (int(plain), float(plain))
        return
    if "text" not in kinds:
        yield from (
            str(plain),
            f" {plain} ",
            f"{plain}0" if isinstance(plain, float) else f"{plain}.0",
        )
    if plain == int(plain):
        yield float(plain)
    if "flag" in kinds:
        yield True
        if "text" not in kinds:
            yield from ("true", "True")


def nonsense(attribute: Attribute) -> Iterator[Any]:
    """Yield what the attribute cannot mean."""
    kinds = attribute.kinds
    if "list" in kinds:
        yield from ({"a": 1}, [["a"]], True, "${MACRO}", "a, b")
        yield from ([3], "a") if "object" in attribute.entries else ([{"a": 1}], [None])
    elif "object" in kinds:
        yield from ("text", [1], 5, True)
    elif attribute.rule.as_is:
        yield from (7, 7.5, True, ["7"], {"a": 1})
    elif kinds == {"text"}:
        yield from ([] if attribute.rule.as_json else [{"a": 1}])
        yield from (["a"], True)
    else:
        yield from ([3], {"a": 1})
        if "text" not in kinds:
            yield from ("many", "0x10", "NaN", "1_000", "1,5", "9" * 300)
        if "integer" in kinds and "number" not in kinds:
            yield 3.5
        if "flag" not in kinds:
            yield True
        if attribute.rule.digits:
            yield "300"


@pytest.mark.parametrize("struct", sorted({one.struct for one in ATTRIBUTES}, key=str))
def test_every_attribute_has_a_rule_for_when_it_cannot_be_read(struct: type[Any]) -> None:
    assert set(RULES[struct]) == set(struct.__struct_fields__)


@each_attribute
def test_value_of_another_type_is_read_as_what_it_plainly_means(attribute: Attribute) -> None:
    request = full_for(attribute)
    wanted, plain = decision_of(decoded(request)), value_at(request, attribute.steps)
    for spelling in spellings(attribute, plain):
        told = decoded(changed(request, attribute.steps, spelling))
        assert decision_of(told) == wanted, spelling
        assert told.unread is None or told.unread.attributes == ((attribute.path, "read"),)


@given(st.data())
def test_several_values_of_other_types_are_read_at_once(data: st.DataObject) -> None:
    request = full_request()
    wanted = decision_of(decoded(request))
    here = [one for one in ATTRIBUTES if one.steps[0] not in INVENTORY]
    for attribute in data.draw(st.lists(st.sampled_from(here), min_size=2, max_size=12)):
        others = list(spellings(attribute, value_at(full_request(), attribute.steps)))
        if others:
            request = changed(request, attribute.steps, data.draw(st.sampled_from(others)))
    assert decision_of(decoded(request)) == wanted


@each_attribute
def test_nothing_is_read_as_nothing(attribute: Attribute) -> None:
    request = full_for(attribute)
    if attribute.rule.as_is or (attribute.steps[0] == "imp" and len(attribute.steps) == 1):
        return
    absent = decision_of(decoded(changed(request, attribute.steps, ...)))
    assert decision_of(decoded(changed(request, attribute.steps, None))) == absent
    if "text" not in attribute.kinds:
        assert decision_of(decoded(changed(request, attribute.steps, ""))) == absent
    empty, other = ({}, []) if "object" in attribute.kinds else ([], {})
    if attribute.kinds & {"object", "list"}:
        wanted = decision_of(decoded(changed(request, attribute.steps, empty)))
        assert decision_of(decoded(changed(request, attribute.steps, other))) == wanted


@each_attribute
def test_value_that_cannot_be_read_costs_what_the_rule_says_and_no_more(
    attribute: Attribute,
) -> None:
    request = full_for(attribute)
    wanted = without(request, attribute.steps)
    for value in nonsense(attribute):
        told = changed(request, attribute.steps, value)
        if wanted is None:
            with pytest.raises(MalformedRequestError):
                decoded(told)
            continue
        got = decision_of(decoded(told))
        if wanted["refused"]:
            assert got["refused"], value
        else:
            assert got == wanted, value


def without(request: Json, steps: tuple[Step, ...]) -> dict[str, Any] | None:
    """Return the decision on ``request`` if the value at ``steps`` cannot be read; None for 400.

    A second reading of the rules, on the JSON instead of on the structs.
    """
    if steps in (("id",), ("imp",)):
        return None
    if steps[:1] == ("imp",) and steps[1:] in ((0,), (0, "id")):
        lost = changed(request, ("imp",), request["imp"][1:])
        broken = () if steps[-1] == "id" else (request["imp"][0]["id"],)
        return decision_of(decoded(changed(lost, ("allimps",), 0))) | {
            "imps": broken,
            "allimps": None,
        }
    if not steps or isinstance(steps[-1], int):
        # The only entry of a list whose entries each stand for themselves, or one of another list.
        return {"refused": True} if not steps else without(request, steps[:-1])
    rule = next(one.rule for one in ATTRIBUTES if one.steps == steps)
    if rule.outcome == REFUSED:
        return {"refused": True} if len(steps) == 1 else without(request, steps[:-1])
    value = msgspec.to_builtins(rule.instead) if rule.outcome == STRICT else ...
    told = changed(request, steps, value)
    if steps[0] == "imp":
        told = changed(told, ("allimps",), ...)
    return decision_of(decoded(told))


@pytest.mark.parametrize("id_", [7, True, ["1"], "", None])
def test_impression_without_an_id_costs_itself(id_: Any) -> None:
    request = {"id": "r", "imp": [{"id": id_, "banner": {}}, {"id": "good", "banner": {}}]}
    assert [imp.id for imp in decoded(request).imp] == ["good"]


def test_impressions_with_the_same_id_cost_themselves() -> None:
    imps = [{"id": "a"}, {"id": "b", "secure": True}, {"id": "a", "bidfloor": 2}]
    request = decoded({"id": "r", "imp": imps})
    assert [imp.id for imp in request.imp] == ["b"]
    assert request.unread is not None
    assert request.unread.imps == ("a",)


def test_impression_that_shares_the_id_of_an_unreadable_one_is_not_bid_on() -> None:
    imps = [{"id": "a", "secure": "maybe"}, {"id": "a"}, {"id": "b"}]
    assert [imp.id for imp in decoded({"id": "r", "imp": imps}).imp] == ["b"]


@pytest.mark.parametrize("broken", [None, 5, "imp", [], [{"id": "x"}]])
def test_entry_that_is_no_impression_costs_itself(broken: Any) -> None:
    assert [imp.id for imp in decoded({"id": "r", "imp": [broken, {"id": "good"}]}).imp] == ["good"]


@pytest.mark.parametrize("lost", MEDIA)
@pytest.mark.parametrize("left", MEDIA)
def test_kind_of_ad_that_cannot_be_read_leaves_the_others(lost: str, left: str) -> None:
    request = decoded({"id": "r", "imp": [{"id": "1", left: {}, lost: "nonsense"}]})
    if lost == left:
        assert request.unread is not None
        assert (request.imp, request.unread.imps) == ([], ("1",))
    else:
        assert (getattr(request.imp[0], lost), getattr(request.imp[0], left) is None) == (
            None,
            False,
        )


@pytest.mark.parametrize(
    ("path", "entries", "left"),
    [
        (("banner", "format"), [{"w": 1, "wmin": "x"}, {"w": 300, "h": 250}, None], 1),
        (("pmp", "deals"), [{"id": "a", "bidfloor": "x"}, {"id": "b"}, 5, {"id": "c"}], 2),
    ],
)
def test_entries_that_can_be_read_are_left(path: tuple[str, str], entries: Any, left: int) -> None:
    outer, inner = path
    (imp,) = decoded({"id": "r", "imp": [{"id": "1", outer: {inner: entries}}]}).imp
    assert len(getattr(getattr(imp, outer), inner)) == left


@pytest.mark.parametrize("told", [True, 1, 1.0, "1"])
def test_privacy_control_may_be_told_in_any_way(told: Any) -> None:
    device = decoded({"id": "r", "imp": [{"id": "1"}], "device": {"ext": {"gpc": told}}}).device
    assert device is not None
    assert device.ext is not None
    assert str(int(device.ext.gpc or 0)) == "1"


@pytest.mark.parametrize("text", ["7,8", "7_8", " 7 , 8 ", ["7", 8.0]])
def test_numbers_may_stand_in_one_text(text: Any) -> None:
    regs = decoded({"id": "r", "imp": [{"id": "1"}], "regs": {"gpp_sid": text}}).regs
    assert regs is not None
    assert regs.gpp_sid == [7, 8]


@pytest.mark.parametrize(
    "native", [{"ver": 1.25, "assets": []}, {"a": [1.5, -0.5, None, "ü"]}, {"id": 2**70}]
)
def test_native_request_as_an_object_is_the_same_text(native: Json) -> None:
    (imp,) = decoded({"id": "r", "imp": [{"id": "1", "native": {"request": native}}]}).imp
    assert imp.native is not None
    assert json.loads(imp.native.request or "") == native


@pytest.mark.parametrize("name", ["badv", "bcat", "bapp", "wseat", "bseat", "cur"])
@pytest.mark.parametrize(
    "text", ["a,b", "a b", "a;b", "a|b", '["a"]', "${LIST}", "[LIST]", "%%LIST%%", "a" * 300]
)
def test_several_names_in_one_text_refuse_the_request(name: str, text: str) -> None:
    request = decoded({"id": "r", "imp": [{"id": "1"}], name: text})
    assert request.unread is not None
    assert request.unread.refused


@pytest.mark.parametrize("number", [25, 25.0, [25], ["IAB1", 25]])
def test_numbers_block_categories_only_where_categories_are_numbers(number: Any) -> None:
    def refused(**more: Any) -> bool:
        request = decoded({"id": "r", "imp": [{"id": "1"}], "bcat": number, **more})
        assert request.unread is not None
        return request.unread.refused

    assert refused()
    assert refused(cattax=1)
    assert not refused(cattax=6)
    assert not refused(cattax="6")


def test_all_that_is_amiss_is_told() -> None:
    request = decoded(
        {
            "id": "r",
            "imp": [{"id": "1", "secure": "maybe", "bidfloor": "x"}, {"id": "2", "bidfloor": "1"}],
            "device": {"lmt": "perhaps", "geo": {"zip": 10001, "city": ["Boston"]}},
            "badv": {"a": 1},
        }
    )
    assert request.unread is not None
    assert dict(request.unread.attributes) == {
        "imp.secure": REFUSED,
        "imp.bidfloor": REFUSED,
        "device.lmt": STRICT,
        "device.geo.zip": "read",
        "device.geo.city": DROPPED,
        "badv": REFUSED,
    }
    assert (request.unread.imps, request.unread.refused) == (("1",), True)


def test_page_with_an_impression_that_cannot_be_read_is_not_offered_whole() -> None:
    imps = [{"id": "1", "banner": {}}, {"id": "2", "banner": {}, "bidfloor": "x"}]
    assert decoded({"id": "r", "imp": imps, "allimps": 1}).allimps is None
    assert decoded({"id": "r", "imp": imps[:1], "allimps": "1"}).allimps == 1


def test_request_of_a_thousand_values_that_cannot_be_read_is_malformed() -> None:
    def segments(count: int) -> Json:
        segment = [{"id": {"a": 1}}] * count
        return {"id": "r", "imp": [{"id": "1"}], "user": {"data": [{"segment": segment}]}}

    assert decoded(segments(MAX_FAULTS)).unread is not None
    with pytest.raises(MalformedRequestError, match="values that cannot be read"):
        decoded(segments(MAX_FAULTS + 1))


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_NUMBERS = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([one for one in ATTRIBUTES if one.path not in ("id", "imp")]), _JSON)
def test_no_value_of_any_attribute_costs_the_neighbour(attribute: Attribute, value: Any) -> None:
    told = decoded(changed(full_for(attribute), attribute.steps, value))
    assert told.imp[-1].id == "neighbour"
