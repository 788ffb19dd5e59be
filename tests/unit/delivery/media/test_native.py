from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.delivery.media.native import fits_native, native_fields, native_markup
from adctl.delivery.media.native_request import RULES, read_native_request
from adctl.openrtb import Native

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative

    Make = Callable[..., Creative]

TITLE = {"id": 1, "required": 1, "title": {"len": 90}}


def offer(*assets: dict[str, Any], wrapped: bool = False, **fields: Any) -> Native:
    request = {"ver": "1.2", "assets": list(assets or (TITLE,)), **fields}
    return Native(request=json.dumps({"native": request} if wrapped else request))


def answer(creative: Creative, native: Native, urls: TrackingUrls) -> Any:
    assert fits_native(creative, native, secure=True)
    return json.loads(native_markup(creative, native, urls))


@pytest.mark.parametrize(
    ("asset", "shown"),
    [
        ({"title": {"len": 90}}, {"text": "Spring shoes at half the price, this week only"}),
        ({"title": {"len": 25}}, {"text": "Shoes"}),
        ({"img": {"type": 3, "w": 600, "h": 314}}, {"w": 600, "h": 314}),
        ({"img": {"type": 3, "wmin": 601, "hmin": 100}}, {"w": 1200, "h": 627}),
        ({"img": {"type": 3, "w": 180, "h": 120, "wmin": 0, "hmin": 0}}, {"w": 600, "h": 314}),
        ({"img": {"w": 600, "h": 314}}, {"w": 600}),
        ({"img": {"type": 1}}, {"url": "https://cdn.example/i.png"}),
        ({"img": {"type": 2}}, {"url": "https://cdn.example/i.png"}),
        ({"img": {"type": 3, "wmin": 10, "mimes": ["image/jpg"]}}, {"w": 600}),
        ({"data": {"type": 1}}, {"value": "Acme"}),
        ({"data": {"type": 2, "len": 90}}, {"value": "Light shoes for runs."}),
        ({"data": {"type": 2, "len": 6}}, {"value": "Light."}),
    ],
)
def test_asset_is_answered_with_the_best_fit(
    make_native: Make, urls: TrackingUrls, asset: dict[str, Any], shown: dict[str, Any]
) -> None:
    response = answer(make_native(), offer({"id": 7, "required": 1, **asset}), urls)
    (kind,) = asset
    assert response["assets"][0]["id"] == 7
    assert response["assets"][0][kind].items() >= shown.items()


@pytest.mark.parametrize(
    "asset",
    [
        {"title": {"len": 4}},
        {"img": {"type": 1, "w": 15, "h": 15}},
        {"img": {"type": 3, "wmin": 2000, "hmin": 1}},
        {"img": {"type": 3, "mimes": ["image/gif"]}},
        {"img": {"type": 4}},
        {"data": {"type": 3}},
        {"data": {"type": 2, "len": 5}},
        {"data": {"type": 500}},
        {"video": {"mimes": ["video/mp4"]}},
        {},
    ],
)
def test_required_asset_that_is_missing_is_no_fit(make_native: Make, asset: dict[str, Any]) -> None:
    optional, required = {"id": 2, **asset}, {"id": 2, "required": 1, **asset}
    assert fits_native(make_native(), offer(TITLE, optional), secure=True)
    assert not fits_native(make_native(), offer(TITLE, required), secure=True)
    assert not fits_native(make_native(), offer(optional), secure=True)


def test_optional_assets_without_an_answer_are_left_out(
    make_native: Make, urls: TrackingUrls
) -> None:
    native = offer({"id": 5, "data": {"type": 3}}, TITLE)
    assert [asset["id"] for asset in answer(make_native(), native, urls)["assets"]] == [1]


def test_answer_has_the_shape_of_the_request(make_native: Make, urls: TrackingUrls) -> None:
    assert set(answer(make_native(), offer(wrapped=True), urls)) == {"native"}
    assert "link" in answer(make_native(), offer(), urls)


def test_click_leads_over_our_url(make_native: Make, urls: TrackingUrls) -> None:
    assert answer(make_native(), offer(), urls)["link"] == {"url": urls.click}


def test_impression_is_told_where_the_request_offers(make_native: Make, urls: TrackingUrls) -> None:
    asked = offer(eventtrackers=[{"event": 2, "methods": [1]}, {"event": 1, "methods": [2, 1]}])
    response = answer(make_native(), asked, urls)
    assert response["eventtrackers"] == [{"event": 1, "method": 1, "url": urls.impression}]
    assert "imptrackers" not in response


@pytest.mark.parametrize("offered", [None, [], [{"event": 1, "methods": [2]}], [{"event": 2}]])
def test_impression_is_told_by_imptrackers_otherwise(
    make_native: Make, urls: TrackingUrls, offered: Any
) -> None:
    response = answer(make_native(), offer(eventtrackers=offered), urls)
    assert response["imptrackers"] == [urls.impression]
    assert not {"eventtrackers", "jstracker"} & set(response)


@pytest.mark.parametrize(
    ("asked", "told"), [("1.1", "1.1"), ("1", "1"), (1, "1"), ("9", "1.2"), (None, "1.2")]
)
def test_version_is_the_requests_if_there_is_one(
    make_native: Make, urls: TrackingUrls, asked: Any, told: str
) -> None:
    assert answer(make_native(), offer(ver=asked), urls)["ver"] == told


def test_assets_without_ids_are_answered_without_ids(make_native: Make, urls: TrackingUrls) -> None:
    native = offer({"title": {"len": 90}}, {"required": 1, "img": {"type": 3, "wmin": 600}})
    first, second = answer(make_native(), native, urls)["assets"]
    assert (set(first), set(second)) == ({"title"}, {"img"})


@pytest.mark.parametrize(
    ("loose", "plain"),
    [
        ({"id": 7.0, "title": {"len": 25}}, {"id": 7, "title": {"len": 25}}),
        ({"id": 7, "title": {"len": "25"}}, {"id": 7, "title": {"len": 25}}),
        ({"id": 7, "title": {"len": ""}}, {"id": 7, "title": {}}),
        ({"id": 7, "img": {"type": "3", "w": 600.0}}, {"id": 7, "img": {"type": 3, "w": 600}}),
        ({"id": 7, "img": {"mimes": "image/png"}}, {"id": 7, "img": {"mimes": ["image/png"]}}),
        ({"id": 7, "data": {"type": "1"}}, {"id": 7, "data": {"type": 1}}),
        ({"id": 7, "required": True, "title": {}}, {"id": 7, "required": 1, "title": {}}),
        ({"id": 7, "required": "0", "data": {"type": 3}}, {"id": 7, "data": {"type": 3}}),
        # What cannot be read asks for something unknown.
        ({"id": 7, "title": {"len": "long"}}, {"id": 7}),
        ({"id": 7, "img": [1, 2]}, {"id": 7}),
        ({"id": 7, "required": "yes", "data": []}, {"id": 7, "required": 1}),
    ],
    ids=lambda asset: json.dumps(asset)[:60],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_asset_of_loose_types_is_answered_as_what_it_means(
    make_native: Make,
    urls: TrackingUrls,
    loose: dict[str, Any],
    plain: dict[str, Any],
    wrapped: bool,
) -> None:
    first, second = offer(TITLE, loose, wrapped=wrapped), offer(TITLE, plain, wrapped=wrapped)
    fits = fits_native(make_native(), second, secure=True)
    assert fits_native(make_native(), first, secure=True) == fits
    assert native_markup(make_native(), first, urls) == native_markup(make_native(), second, urls)


@pytest.mark.parametrize("struct", RULES)
def test_every_attribute_of_a_native_request_has_a_rule(struct: type[msgspec.Struct]) -> None:
    assert set(RULES[struct]) == set(struct.__struct_fields__)


def test_blocked_attribute_does_not_fit(make_native: Make) -> None:
    request = offer().request
    assert not fits_native(make_native(attr=(3,)), Native(request=request, battr=[3]), secure=False)
    assert fits_native(make_native(attr=(3,)), Native(request=request, battr=[4]), secure=False)


@pytest.mark.parametrize(
    "request_text",
    [
        None,
        "",
        "{}",
        "[]",
        "null",
        "not json",
        '{"assets": []}',
        '{"assets": {}}',
        '{"assets": [{"id": 1, "title": {"len": "long"}}]}',
        '{"assets": [{"id": 1, "data": {}}]}',
        '{"native": "1.0"}',
        '{"native": {"assets": [ ... ]}}',
        '{"assets": [{"id": 1, "title": {"len": 1e400}}]}',
        "[" * 16_000,
        '{"assets": [' + ",".join(['{"id": 1}'] * 51) + "]}",
        " " * 17_000 + '{"assets": [{"id": 1, "title": {"len": 90}}]}',
        "\ud800",
    ],
)
def test_request_that_is_none_does_not_fit(
    make_native: Make, urls: TrackingUrls, request_text: str | None
) -> None:
    native = Native(request=request_text)
    assert not fits_native(make_native(), native, secure=False)
    assert native_markup(make_native(), native, urls) == ""


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_reading_a_request_never_raises(text: str) -> None:
    read_native_request(text)


def test_banner_is_no_native_ad(make_creative: Make) -> None:
    assert not fits_native(make_creative(), offer(), secure=False)


def test_bid_tells_its_media_type(make_native: Make) -> None:
    assert native_fields(make_native(attr=(3,))).mtype == 4
