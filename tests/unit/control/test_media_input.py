from __future__ import annotations

from typing import Any

import msgspec
import pytest

from adctl.control.creative_input import CREATIVE_DEFAULTS, read_creative
from adctl.control.fields import FieldReader
from adctl.control.merging import merge
from adctl.models import Creative, Media

FILE = {
    "url": "https://cdn.acme.example/a.mp4",
    "mime": "video/mp4",
    "width": 640,
    "height": 360,
    "bitrate_kbps": 800,
}
SOUND = {"url": "https://cdn.acme.example/a.mp3", "mime": "audio/mp3", "bitrate_kbps": 128}
IMAGE = {
    "role": "main",
    "url": "https://cdn.acme.example/a.jpg",
    "mime": "image/jpg",
    "width": 600,
    "height": 314,
}
TABLES: dict[str, dict[str, Any]] = {
    "video": {"duration_sec": 15, "files": [FILE]},
    "audio": {"duration_sec": 30, "files": [SOUND]},
    "native": {"titles": ["Shoes"], "images": [IMAGE], "data": {"sponsored": "Acme"}},
}


def read(kind: str, changes: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], set[str]]:
    common = {"name": "ad", "kind": kind, "landing_url": "https://www.acme.example/"}
    tables = {} if kind == "banner" else {kind: TABLES[kind] | changes}
    reader = FieldReader(merge(CREATIVE_DEFAULTS, common | tables | fields))
    columns = read_creative(reader)
    return columns, {fault.field for fault in reader.faults}


@pytest.mark.parametrize("kind", TABLES)
def test_each_kind_is_kept_as_the_bidder_decodes_it(kind: str) -> None:
    columns, faults = read(kind, {})
    assert faults == set()
    assert list(columns["media"]) == [kind]
    assert getattr(msgspec.convert(columns["media"], Media), kind) is not None


def test_plain_banner_keeps_an_empty_object() -> None:
    image = "https://cdn.acme.example/a.png"
    columns, faults = read("banner", {}, size="300x250", image_url=image)
    assert (columns["media"], faults) == ({}, set())


def test_creative_of_an_older_catalog_still_decodes() -> None:
    old = (
        b'{"id":1,"campaign_id":1,"name":"a","kind":"banner","status":"active",'
        b'"landing_url":"https://a.example","adomain":[],"media":{}}'
    )
    assert msgspec.json.decode(old, type=Creative).media == Media()


def test_video_has_the_size_of_its_largest_file() -> None:
    large = FILE | {"width": 1920, "height": 1080}
    columns, _ = read("video", {"files": [FILE, large]})
    assert (columns["width"], columns["height"]) == (1920, 1080)


def test_types_are_kept_by_their_registered_name() -> None:
    columns, _ = read("audio", {})
    assert columns["media"]["audio"]["files"][0]["mime"] == "audio/mpeg"


def test_manifest_needs_neither_size_nor_bit_rate() -> None:
    manifest = {"url": "https://cdn.acme.example/a.m3u8", "mime": "application/x-mpegURL"}
    columns, faults = read("video", {"files": [manifest]})
    assert faults == set()
    assert columns["media"]["video"]["files"][0]["delivery"] == "streaming"


def test_tag_may_have_a_size_and_no_files() -> None:
    tag = {"files": None, "tag_url": "https://ads.acme.example/vast"}
    columns, faults = read("video", tag, size="640x360")
    assert (columns["width"], columns["height"], faults) == (640, 360, set())


@pytest.mark.parametrize(
    ("kind", "changes", "faulty"),
    [
        ("video", {"duration_sec": 0}, {"video.duration_sec"}),
        ("video", {"duration_sec": "15"}, {"video.duration_sec"}),
        ("video", {"duration_sec": None}, {"video.duration_sec"}),
        ("video", {"files": []}, {"video.files"}),
        ("video", {"tag_url": "https://ads.acme.example/vast"}, {"video.files"}),
        ("video", {"files": ["a.mp4"]}, {"video.files[0]"}),
        ("video", {"files": [FILE, FILE | {"mime": "audio/mp4"}]}, {"video.files[1].mime"}),
        ("video", {"files": [FILE | {"url": "http://cdn.example/a"}]}, {"video.files[0].url"}),
        ("video", {"files": [FILE | {"url": None}]}, {"video.files[0].url"}),
        ("video", {"files": [FILE | {"width": 0}]}, {"video.files[0].width"}),
        ("video", {"files": [FILE | {"bitrate": 800}]}, {"video.files[0].bitrate"}),
        ("video", {"files": [FILE | {"delivery": "mail"}]}, {"video.files[0].delivery"}),
        ("video", {"files": [FILE] * 21}, {"video.files"}),
        ("video", {"skip_after_sec": 15}, {"video.skip_after_sec"}),
        ("video", {"breaks": ["before"]}, {"video.breaks"}),
        ("video", {"plcmt": [9]}, {"video.plcmt"}),
        ("audio", {"files": [FILE]}, {"audio.files[0].mime"}),
        ("audio", {"feed": [4]}, {"audio.feed"}),
        ("native", {"titles": []}, {"native.titles"}),
        ("native", {"titles": ["x" * 501]}, {"native.titles"}),
        ("native", {"data": {"slogan": "x"}}, {"native.data.slogan"}),
        ("native", {"images": [IMAGE | {"role": "logo"}]}, {"native.images[0].role"}),
        ("native", {"images": [IMAGE | {"mime": "text/html"}]}, {"native.images[0].mime"}),
        ("native", {"images": [IMAGE | {"url": "ftp://a.example"}]}, {"native.images[0].url"}),
    ],
)
def test_fault_names_its_field(kind: str, changes: dict[str, Any], faulty: set[str]) -> None:
    assert read(kind, changes)[1] >= faulty


def test_all_faults_are_told_at_once() -> None:
    bad = {"duration_sec": -1, "files": [{"url": "http://a.example/x", "mime": "text/plain"}]}
    _, faults = read("video", bad, image_url="https://a.example/x.png", expdir=[2])
    assert faults == {
        "expdir",
        "image_url",
        "video.duration_sec",
        "video.files[0].bitrate_kbps",
        "video.files[0].height",
        "video.files[0].mime",
        "video.files[0].url",
        "video.files[0].width",
    }


def test_table_of_another_kind_is_refused() -> None:
    assert read("audio", {}, video=TABLES["video"])[1] == {"video"}
    assert read("video", {}, size="640x360")[1] == {"size"}


def test_kind_without_its_table_is_refused() -> None:
    assert read("native", {}, native=None)[1] == {"native"}
    assert read("native", {}, native="assets")[1] == {"native"}
