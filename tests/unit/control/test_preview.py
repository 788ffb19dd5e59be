from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from adctl.control.preview import preview_page, write_preview
from adctl.errors import FaultyInputError
from adctl.models import (
    AudioMedia,
    Creative,
    CreativeKind,
    Media,
    MediaFile,
    NativeImage,
    NativeMedia,
    Status,
    VideoMedia,
)

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '"><script>alert(1)</script>'
SPOT = MediaFile("https://cdn.acme.example/a.mp4", "video/mp4", 640, 360, 800)


def creative(**fields: object) -> Creative:
    common: dict[str, object] = {
        "id": 7,
        "campaign_id": 1,
        "name": f"Shoes {HOSTILE}",
        "kind": CreativeKind.BANNER,
        "status": Status.ACTIVE,
        "landing_url": "https://acme.example/?c={click_id}",
        "adomain": ("acme.example",),
    }
    return Creative(**common | fields)  # type: ignore[arg-type]


class Reading(HTMLParser):
    """The tags of a page as a browser reads them, without those in frames."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def first(self, tag: str) -> dict[str, str | None]:
        return next(attrs for name, attrs in self.tags if name == tag)


NATIVE = NativeMedia(
    titles=(f"Spring {HOSTILE}",),
    images=(NativeImage("main", "https://cdn.acme.example/m.jpg", "image/jpeg", 600, 314),),
    data={"sponsored": ("Acme",), "ctatext": (HOSTILE,)},
)
SHOWN = {
    "banner": creative(markup=HOSTILE + "<b>hi</b>{pixel}", width=300, height=250),
    "video": creative(media=Media(video=VideoMedia(15, files=(SPOT,)))),
    "tag": creative(media=Media(video=VideoMedia(15, tag_url="https://ads.example/vast"))),
    "audio": creative(media=Media(audio=AudioMedia(30, files=(SPOT,)))),
    "native": creative(media=Media(native=NATIVE)),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_page_runs_no_script_of_the_creative(kind: str) -> None:
    read = Reading(preview_page(SHOWN[kind]))
    assert "script" not in {tag for tag, _ in read.tags}
    assert f"Shoes {HOSTILE}" in read.text


@pytest.mark.parametrize("kind", SHOWN)
def test_page_tells_no_tracker(kind: str) -> None:
    read = Reading(preview_page(SHOWN[kind]))
    loaded = [str(attrs.get("src")) for _, attrs in read.tags if attrs.get("src")]
    assert not [url for url in loaded if "tracker.example" in url]
    frame = next((attrs for tag, attrs in read.tags if tag == "iframe"), {})
    assert "tracker.example" not in str(frame.get("srcdoc"))


def test_banner_is_in_a_frame_without_access_to_the_page() -> None:
    frame = Reading(preview_page(SHOWN["banner"])).first("iframe")
    assert (frame["width"], frame["height"]) == ("300", "250")
    assert "allow-same-origin" not in str(frame["sandbox"])
    assert "<b>hi</b>" in str(frame["srcdoc"])


def test_video_plays_its_files_and_shows_its_vast() -> None:
    read = Reading(preview_page(SHOWN["video"]))
    assert read.first("source") == {"src": SPOT.url, "type": "video/mp4"}
    assert "<VAST" in read.text
    assert "p=${AUCTION_PRICE}" in read.text


def test_tag_is_named_for_there_is_nothing_to_play() -> None:
    assert "https://ads.example/vast" in Reading(preview_page(SHOWN["tag"])).text


def test_native_is_a_card() -> None:
    read = Reading(preview_page(SHOWN["native"]))
    assert read.first("img")["src"] == "https://cdn.acme.example/m.jpg"
    assert f"Spring {HOSTILE}" in read.text


def test_page_is_written_where_asked(tmp_path: Path) -> None:
    path = write_preview(SHOWN["video"], tmp_path / "spot.html")
    assert path.read_text().startswith("<!doctype html>")
    with pytest.raises(FaultyInputError, match="--out"):
        write_preview(SHOWN["video"], tmp_path / "missing" / "spot.html")
