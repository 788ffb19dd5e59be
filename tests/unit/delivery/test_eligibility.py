from decimal import Decimal

import msgspec
import pytest

from adctl.delivery import reasons
from adctl.delivery.currency import Rates
from adctl.delivery.eligibility import (
    BannerRules,
    CreativeRules,
    bidfloor_micros,
    flexible_ratio,
    imp_refusal,
    offered_sizes,
    quantity_ppm,
    request_refusal,
)
from adctl.delivery.traits import traits_of
from adctl.models import Creative, CreativeKind, Media, Status
from adctl.money import MAX_CPM_MICROS
from adctl.openrtb import Banner, BidRequest, Imp, decode_request

RATES = Rates("USD", {"EUR": Decimal("1.1")})
CREATIVE = Creative(
    id=1,
    campaign_id=1,
    name="c",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://advertiser.example/",
    adomain=("advertiser.example",),
    width=300,
    height=250,
    image_url="https://cdn.example/a.png",
    cat=("IAB3-1",),
    attr=(1,),
    language="en",
)


def fits_banner(creative: Creative, offered: Banner, *, secure: bool = True) -> bool:
    rules = BannerRules(offered, offered_sizes(offered), secure=secure)
    return not rules.refusal(traits_of(creative))


def request(**parts: object) -> BidRequest:
    return msgspec.convert({"id": "r", "imp": [{"id": "1"}], **parts}, BidRequest)


def refusal(told: Imp, *, secure: bool) -> str:
    return imp_refusal(told, bidfloor_micros(told, RATES), secure=secure)


def imp(**parts: object) -> Imp:
    whole = {"id": "1", "banner": {"w": 300, "h": 250}, **parts}
    return decode_request(msgspec.json.encode({"id": "r", "imp": [whole]})).imp[0]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, ""),
        ({"cur": ["EUR", "USD"]}, ""),
        ({"cur": []}, ""),
        ({"cur": ["usd"]}, ""),
        ({"cur": ["EUR"]}, reasons.CURRENCY),
        ({"wseat": ["other"]}, reasons.SEAT),
        ({"bseat": ["seat1"]}, reasons.SEAT),
        ({"device": {"ua": "Mozilla/5.0 (compatible; Googlebot/2.1)"}}, reasons.CRAWLER),
        ({"device": {"ua": "Mozilla/5.0 HeadlessChrome/131.0"}}, reasons.CRAWLER),
        ({"device": {"ua": "Mozilla/5.0 (Linux; Android 13; CUBOT X70) Chrome/131"}}, ""),
        ({"device": {"ua": ""}}, ""),
    ],
)
def test_request_is_refused_for(parts: dict[str, object], reason: str) -> None:
    assert request_refusal(request(**parts), "USD", "seat1") == reason


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, ""),
        ({"pmp": {"private_auction": 0}}, ""),
        ({"pmp": {"private_auction": 1}}, reasons.PRIVATE_AUCTION),
        ({"bidfloor": 1, "bidfloorcur": "GBP"}, reasons.CURRENCY),
        ({"bidfloor": 1, "bidfloorcur": "EUR"}, ""),
        ({"bidfloorcur": "GBP"}, ""),
        ({"secure": 1}, reasons.INSECURE),
    ],
)
def test_impression_is_refused_for(parts: dict[str, object], reason: str) -> None:
    assert refusal(imp(**parts), secure=False) == reason


def test_formats_come_before_width_and_height() -> None:
    banner = msgspec.convert({"format": [{"w": 728, "h": 90}], "w": 1, "h": 1}, Banner)
    assert offered_sizes(banner) == {(728, 90)}


def test_negative_floor_is_no_floor_and_an_absurd_one_above_any_bid() -> None:
    assert bidfloor_micros(imp(bidfloor=-3), RATES) == 0
    assert bidfloor_micros(imp(bidfloor=1e308), RATES) == MAX_CPM_MICROS + 1


@pytest.mark.parametrize(
    ("multiplier", "quantity_ppm_"),
    [
        ("14.2", 14_200_000),
        ("1", 1_000_000),
        ("0.5", 500_000),
        ("0.0000001", 1),
        ("4294.967295", 2**32 - 1),
        ("4294.967296", None),
        ("1e300", None),
        ("0", None),
        ("-2", None),
    ],
)
def test_display_is_as_many_impressions_as_its_multiplier_says_rounded_up(
    multiplier: str, quantity_ppm_: int | None
) -> None:
    body = b'{"id":"r","imp":[{"id":"1","qty":{"multiplier":%s}}]}' % multiplier.encode()
    [told] = decode_request(body).imp
    assert quantity_ppm(told) == quantity_ppm_
    assert refusal(told, secure=True) == ("" if quantity_ppm_ else reasons.QUANTITY)


def test_display_without_a_multiplier_is_one_impression() -> None:
    assert quantity_ppm(imp()) == quantity_ppm(imp(qty={})) == 1_000_000


@pytest.mark.parametrize(
    ("blocked", "reason"),
    [
        ({"badv": ["ADVERTISER.example"]}, reasons.BLOCKED_ADVERTISER),
        ({"badv": ["example"]}, reasons.BLOCKED_ADVERTISER),
        ({"bcat": ["IAB3-1"]}, reasons.BLOCKED_CATEGORY),
        ({"bcat": ["IAB3"]}, reasons.BLOCKED_CATEGORY),
        ({"acat": ["IAB1"]}, reasons.BLOCKED_CATEGORY),
        ({"wlang": ["de"]}, reasons.BLOCKED_LANGUAGE),
        ({"wlangb": ["de-AT", "fr"]}, reasons.BLOCKED_LANGUAGE),
    ],
)
def test_creative_is_blocked_by(blocked: dict[str, object], reason: str) -> None:
    assert CreativeRules(request(**blocked)).refusal(traits_of(CREATIVE)) == reason


@pytest.mark.parametrize(
    "harmless",
    [
        {"badv": ["vertiser.example"]},
        {"bcat": ["IAB30"]},
        {"bcat": ["IAB3-1"], "cattax": 2},
        {"acat": ["IAB3-1"]},
        {"wlang": ["EN"]},
        {"wlangb": ["en-GB"]},
    ],
)
def test_creative_is_not_blocked_by(harmless: dict[str, object]) -> None:
    assert CreativeRules(request(**harmless)).refusal(traits_of(CREATIVE)) == ""


def test_creative_without_categories_is_of_none_that_is_allowed() -> None:
    creative = msgspec.structs.replace(CREATIVE, cat=(), cattax=7)
    rules = CreativeRules(request(acat=["IAB3-1"]))
    assert rules.refusal(traits_of(creative)) == reasons.BLOCKED_CATEGORY
    assert CreativeRules(request(bcat=["IAB3-1"])).refusal(traits_of(creative)) == ""


@pytest.mark.parametrize(
    ("banner", "fits"),
    [
        ({}, True),
        ({"btype": [2]}, False),
        ({"battr": [1]}, False),
        ({"battr": [2], "btype": [1]}, True),
        ({"mimes": ["image/png"]}, True),
        ({"mimes": ["image/jpg", "image/gif"]}, False),
        ({"mimes": ["image/gif", "text/html"]}, True),
        ({"mimes": []}, True),
    ],
)
def test_banner_rules(banner: dict[str, object], fits: bool) -> None:
    offered = msgspec.convert({"w": 300, "h": 250, **banner}, Banner)
    assert fits_banner(CREATIVE, offered) is fits


def test_size_of_a_flexible_format_has_its_ratio_and_its_least_width() -> None:
    formats = [{"w": 300, "h": 250}, {"wratio": 4, "hratio": 1, "wmin": 320}]
    banner = msgspec.convert({"format": formats}, Banner)
    assert flexible_ratio(banner, 728, 182) == (4, 1)
    assert flexible_ratio(banner, 320, 80) == (4, 1)
    assert flexible_ratio(banner, 316, 79) is None
    assert flexible_ratio(banner, 300, 250) is None


def test_ratio_that_a_bid_cannot_repeat_fits_nothing() -> None:
    banner = msgspec.json.decode(b'{"format":[{"wratio":1,"hratio":0.25}]}', type=Banner)
    assert flexible_ratio(banner, 640, 160) is None
    banner = msgspec.json.decode(b'{"format":[{"wratio":4.0,"hratio":1.0}]}', type=Banner)
    assert str(flexible_ratio(banner, 640, 160)) == "(4, 1)"


@pytest.mark.parametrize(
    ("media", "banner", "fits"),
    [
        (Media(api=(5,)), {}, False),
        (Media(api=(5,)), {"api": [3, 5]}, True),
        (Media(expdir=(4,)), {}, False),
        (Media(expdir=(4,)), {"expdir": [2, 4]}, True),
        (Media(expdir=(3, 4)), {"expdir": [2, 4]}, False),
    ],
)
def test_what_a_banner_needs_has_to_be_offered(
    media: Media, banner: dict[str, object], fits: bool
) -> None:
    offered = msgspec.convert({"w": 300, "h": 250, **banner}, Banner)
    creative = msgspec.structs.replace(CREATIVE, media=media)
    assert fits_banner(creative, offered) is fits


@pytest.mark.parametrize(
    ("mimes", "fits"),
    [(["text/html"], True), (["Application/JavaScript"], True), (["image/png"], False)],
)
def test_markup_is_html(mimes: list[str], fits: bool) -> None:
    creative = msgspec.structs.replace(CREATIVE, markup="<b>", image_url="")
    offered = Banner(w=300, h=250, mimes=mimes)
    assert fits_banner(creative, offered) is fits


def test_insecure_markup_does_not_go_into_a_secure_page() -> None:
    insecure = msgspec.structs.replace(CREATIVE, image_url="http://cdn.example/a.png")
    offered = Banner(w=300, h=250)
    assert not fits_banner(insecure, offered)
    assert fits_banner(insecure, offered, secure=False)
