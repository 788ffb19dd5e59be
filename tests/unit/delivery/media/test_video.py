from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adctl.delivery.media.linear import break_of, floor_micros_of
from adctl.delivery.media.vast import INLINE_PROTOCOLS, WRAPPER_PROTOCOLS
from adctl.delivery.media.video import fits_video, video_fields, video_markup
from adctl.models import Creative, Media, MediaFile
from adctl.openrtb import DurationFloor, Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.delivery.tracking_urls import TrackingUrls

    Make = Callable[..., Creative]

ORDER = {
    4: {
        "InLine": "AdSystem Error Impression AdServingId AdTitle Advertiser Creatives",
        "Wrapper": "AdSystem Error Impression Creatives VASTAdTagURI",
        "Linear": "Duration MediaFiles VideoClicks",
    },
    3: {
        "InLine": "AdSystem AdTitle Error Impression Creatives",
        "Wrapper": "AdSystem VASTAdTagURI Error Impression Creatives",
        "Linear": "Duration VideoClicks MediaFiles",
    },
}
ORDER[2] = ORDER[3]


def offer(**fields: Any) -> Video:
    return Video(**({"mimes": ["video/mp4"], "w": 640, "h": 360, "protocols": [7]} | fields))


def test_video_fits_what_asks_for_nothing_more(make_video: Make) -> None:
    assert fits_video(make_video(), offer(), secure=True)


def test_banner_never_fits_a_video(make_creative: Make) -> None:
    assert not fits_video(make_creative(), offer(), secure=False)


@pytest.mark.parametrize(
    "asked",
    [
        {"mimes": ["video/webm"]},
        {"mimes": []},
        {"mimes": None},
        {"minduration": 16},
        {"maxduration": 14},
        {"rqddurs": [10, 30]},
        {"rqddurs": [15], "minduration": 20},
        {"rqddurs": [10, 30], "minduration": 5, "maxduration": 30},
        {"poddur": 10},
        {"protocols": [1, 4]},
        {"protocols": [8]},
        {"protocols": None, "protocol": 1},
        {"linearity": 2},
        {"delivery": [1]},
        {"maxbitrate": 500},
        {"minbitrate": 3000},
        {"boxingallowed": 0, "w": 480, "h": 480},
    ],
)
def test_video_does_not_fit(make_video: Make, asked: dict[str, Any]) -> None:
    assert not fits_video(make_video(), offer(**asked), secure=False)


@pytest.mark.parametrize(
    "asked",
    [
        {"mimes": ["Video/MP4"]},
        {"minduration": 15, "maxduration": 15},
        {"maxduration": 10, "maxextended": 5},
        {"maxduration": 10, "maxextended": -1},
        {"rqddurs": [10, 15]},
        {"rqddurs": [15, 30], "minduration": 5, "maxduration": 30},
        {"poddur": 60},
        {"protocols": [999, 2]},
        {"protocols": None, "protocol": 2},
        {"protocols": None},
        {"linearity": 1},
        {"delivery": [2]},
        {"minbitrate": 800, "maxbitrate": 800},
        {"boxingallowed": 0, "w": 1920, "h": 1080},
        {"w": 480, "h": 480},
        {"skip": 1},
        {"w": None, "h": None},
    ],
)
def test_video_fits(make_video: Make, asked: dict[str, Any]) -> None:
    assert fits_video(make_video(), offer(**asked), secure=True)


def test_blocked_attribute_does_not_fit(make_video: Make) -> None:
    assert not fits_video(make_video(attr=(7,)), offer(battr=[7]), secure=False)
    assert fits_video(make_video(attr=(7,)), offer(battr=[8]), secure=False)


def test_api_that_is_not_listed_is_unsupported(make_video: Make) -> None:
    tag = make_video(files=(), tag_url="https://other.example/vast", api=(2,))
    assert not fits_video(tag, offer(protocols=[8]), secure=False)
    assert fits_video(tag, offer(protocols=[8], api=[1, 2]), secure=False)


def test_insecure_file_does_not_fit_a_secure_page(make_video: Make) -> None:
    insecure = make_video(
        files=(MediaFile("http://cdn.example/a.mp4", "video/mp4", 640, 360, 800),)
    )
    assert not fits_video(insecure, offer(), secure=True)
    assert fits_video(insecure, offer(), secure=False)


def test_restricted_video_plays_only_where_it_is_meant_to(make_video: Make) -> None:
    instream = make_video(breaks=("pre",), plcmt=(1,), playbackmethod=(1, 3))
    meant = {"startdelay": 0, "plcmt": 1, "playbackmethod": [3, 2]}
    assert fits_video(instream, offer(**meant), secure=False)
    assert fits_video(instream, offer(**meant | {"plcmt": None, "placement": 1}), secure=False)
    for other in ({"startdelay": -1}, {"plcmt": 4, "placement": 1}, {"playbackmethod": [2]}):
        assert not fits_video(instream, offer(**meant | other), secure=False)
    for unsaid in meant:
        assert not fits_video(instream, offer(**meant | {unsaid: None}), secure=False)


@pytest.mark.parametrize(
    ("startdelay", "means"),
    [(0, "pre"), (5, "mid"), (-1, "mid"), (-2, "post"), (-3, None), (None, None)],
)
def test_start_delay_names_a_break(startdelay: int | None, means: str | None) -> None:
    assert break_of(startdelay) == means


@pytest.mark.parametrize(("protocol", "version"), INLINE_PROTOCOLS.items())
def test_inline_keeps_the_order_of_its_version(
    make_video: Make, urls: TrackingUrls, protocol: int, version: tuple[int, int]
) -> None:
    slot = offer(protocols=[protocol])
    root = etree.fromstring(
        video_markup(make_video(), slot, urls, "bid-1", "https://t.example/error")
    )
    assert root.get("version") == f"{version[0]}.{version[1]}"
    names = ORDER[version[0]]["InLine"].split()
    if version == (4, 0):
        names.remove("AdServingId")
    assert [child.tag for child in root.find("Ad/InLine")] == names
    assert [child.tag for child in root.find(".//Linear")] == ORDER[version[0]]["Linear"].split()
    assert (root.find(".//UniversalAdId") is not None) == (version[0] == 4)


@pytest.mark.parametrize(("protocol", "version"), WRAPPER_PROTOCOLS.items())
def test_wrapper_keeps_the_order_of_its_version(
    make_video: Make, urls: TrackingUrls, protocol: int, version: tuple[int, int]
) -> None:
    tag = make_video(files=(), tag_url="https://other.example/vast?x=1&y=2")
    slot = offer(protocols=[2, 3, 7, protocol])
    root = etree.fromstring(video_markup(tag, slot, urls, "bid-1", "https://t.example/error"))
    assert [child.tag for child in root.find("Ad/Wrapper")] == ORDER[version[0]]["Wrapper"].split()
    assert root.findtext(".//VASTAdTagURI") == "https://other.example/vast?x=1&y=2"
    assert root.findtext(".//ClickTracking") == urls.click
    assert root.find(".//ClickThrough") is None
    assert video_fields(tag, slot).protocol == protocol


def test_newest_version_asked_for_is_spoken(make_video: Make) -> None:
    assert video_fields(make_video(), offer(protocols=[2, 3, 11, 7])).protocol == 11
    assert video_fields(make_video(), offer(protocols=None)).protocol == 7


def test_markup_tells_whom_to_tell(make_video: Make, urls: TrackingUrls) -> None:
    root = etree.fromstring(video_markup(make_video(), offer(), urls, "bid-1"))
    assert root.findtext(".//Impression") == urls.impression
    assert root.findtext(".//ClickThrough") == urls.click
    assert root.findtext(".//Duration") == "00:00:15"
    assert root.findtext(".//AdTitle") == "Shoes & <more>"
    assert root.find(".//Error") is None


@pytest.mark.parametrize("protocol", INLINE_PROTOCOLS)
def test_markup_of_a_secure_ad_has_no_insecure_address(
    make_video: Make, urls: TrackingUrls, protocol: int
) -> None:
    assert "http:" not in video_markup(make_video(), offer(protocols=[protocol]), urls, "bid-1")


def test_macro_stays_as_it_is_for_the_exchange(make_video: Make, urls: TrackingUrls) -> None:
    markup = video_markup(make_video(), offer(), urls, "bid-1")
    assert f"<![CDATA[{urls.impression}]]>" in markup


def test_only_files_that_are_asked_for_are_offered(make_video: Make, urls: TrackingUrls) -> None:
    slot = offer(maxbitrate=1000)
    root = etree.fromstring(video_markup(make_video(), slot, urls, "bid-1"))
    (file,) = root.findall(".//MediaFile")
    assert dict(file.attrib) == {
        "delivery": "progressive",
        "type": "video/mp4",
        "width": "640",
        "height": "360",
        "bitrate": "800",
        "scalable": "true",
        "maintainAspectRatio": "true",
    }
    assert file.text == "https://cdn.example/640.mp4?a=1&b=2"


def test_adaptive_stream_has_no_bit_rate_to_refuse(make_video: Make, urls: TrackingUrls) -> None:
    stream = MediaFile(
        "https://cdn.example/a.m3u8", "application/vnd.apple.mpegurl", 0, 0, 0, "streaming"
    )
    slot = offer(mimes=["application/x-mpegURL"], delivery=[1], maxbitrate=300)
    video = make_video(files=(stream,))
    assert fits_video(video, slot, secure=True)
    (file,) = etree.fromstring(video_markup(video, slot, urls, "bid-1")).findall(".//MediaFile")
    assert (file.get("type"), file.get("delivery")) == ("application/x-mpegURL", "streaming")


def test_bid_tells_the_size_nearest_to_the_players(make_video: Make) -> None:
    fields = video_fields(make_video(), offer(w=1920, h=1080))
    assert (fields.mtype, fields.w, fields.h, fields.dur) == (2, 1280, 720, 15)


@pytest.mark.parametrize(
    ("asked", "offset"),
    [
        ({}, "00:00:05"),
        ({"skip": 1, "skipafter": 8}, "00:00:08"),
        ({"skip": 0}, None),
        ({"battr": [16]}, None),
        ({"skip": 1, "skipmin": 15}, None),
        ({"skip": 1, "skipafter": 15}, None),
        ({"protocols": [2]}, None),
    ],
)
def test_skippable_where_that_is_allowed(
    make_video: Make, urls: TrackingUrls, asked: dict[str, Any], offset: str | None
) -> None:
    video, slot = make_video(skip_after_sec=5), offer(**asked)
    assert fits_video(video, slot, secure=True)
    assert (
        etree.fromstring(video_markup(video, slot, urls, "b")).find(".//Linear").get("skipoffset")
        == offset
    )
    assert (16 in video_fields(video, slot).attr) == (offset is not None)


@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=40),
    protocol=st.sampled_from(sorted(INLINE_PROTOCOLS)),
)
def test_markup_is_well_formed_whatever_an_address_holds(
    make_video: Make, urls: TrackingUrls, text: str, protocol: int
) -> None:
    file = MediaFile(f"https://cdn.example/]]>&{text}", "video/mp4", 640, 360, 800)
    root = etree.fromstring(
        video_markup(make_video(files=(file,)), offer(protocols=[protocol]), urls, "b")
    )
    assert len(root.findall(".//MediaFile")) == 1
    assert root.findtext(".//Impression") == urls.impression


@pytest.mark.parametrize(
    ("fields", "floor"),
    [
        ({}, 1_000_000),
        ({"mincpmpersec": Decimal("0.1")}, 1_500_000),
        ({"mincpmpersec": Decimal("0.01")}, 1_000_000),
        ({"mincpmpersec": Decimal(-1)}, 1_000_000),
        ({"durfloors": [(1, 15, "3.00"), (16, None, "9")]}, 3_000_000),
        ({"durfloors": [(None, 15, "0.50")]}, 500_000),
        ({"durfloors": [(None, 15, "0.50"), (10, None, "0.70")]}, 700_000),
        ({"durfloors": [(16, 30, "9")]}, 1_000_000),
        ({"durfloors": [(None, None, "9")]}, 1_000_000),
        ({"durfloors": [(1, 15, "0.50")], "mincpmpersec": Decimal("0.2")}, 3_000_000),
    ],
)
def test_floor_of_a_duration(fields: dict[str, Any], floor: int) -> None:
    if "durfloors" in fields:
        fields = fields | {
            "durfloors": [
                DurationFloor(low, high, Decimal(price)) for low, high, price in fields["durfloors"]
            ]
        }
    assert floor_micros_of(offer(**fields), 15, 1_000_000) == floor


@pytest.mark.parametrize("price", ["1e999999", "Infinity"])
def test_floor_of_a_million_digits_is_above_any_bid(price: str) -> None:
    assert floor_micros_of(offer(mincpmpersec=Decimal(price)), 15, 0) > 10**12


def test_creative_that_is_no_video_has_no_markup(make_creative: Make, urls: TrackingUrls) -> None:
    assert video_markup(make_creative(media=Media()), offer(), urls, "b") == ""
