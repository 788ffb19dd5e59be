"""A creative's page as a browser shows it. Skipped where there is no Chromium."""

from __future__ import annotations

import base64
import html
import re
import shutil
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest

from adctl.control.preview import write_preview
from adctl.models import (
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

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), "")
pytestmark = pytest.mark.skipif(not BROWSER, reason=f"there is no browser: {', '.join(NAMES)}")

# What the page's own elements measure, told in its title: wide as loaded, or as laid out.
MEASURED = """<script>addEventListener("load", () => {
  const wide = name => [...document.querySelectorAll(name)].map(one => one.naturalWidth
    || one.getBoundingClientRect().width).join(",");
  document.title = ["img", "video", "iframe"].map(name => name + "=" + wide(name)).join(" ")
    + " over=" + (document.documentElement.scrollWidth > innerWidth);
});</script>"""


def picture(width: int, height: int) -> str:
    """Return a PNG of that size as an address that holds it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + bytes((33, 85, 217)) * width) * height))
    image = b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def shown(creative: Creative, folder: Path) -> str:
    """Return the page's document after a browser has loaded it."""
    path = write_preview(creative, folder / "page.html")
    path.write_text(path.read_text().replace("</body>", MEASURED + "</body>"))
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,1000"),
        *(f"--user-data-dir={folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *("--virtual-time-budget=5000", "--dump-dom", path.as_uri()),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return ended.stdout


def title(document: str) -> str:
    (told,) = re.findall(r"<title>(.*?)</title>", document)
    return html.unescape(told)


def creative(kind: CreativeKind, **fields: object) -> Creative:
    common: dict[str, object] = {
        "id": 7,
        "campaign_id": 1,
        "name": "Shoes",
        "kind": kind,
        "status": Status.ACTIVE,
        "landing_url": "https://acme.example/",
        "adomain": ("acme.example",),
    }
    return Creative(**common | fields)  # type: ignore[arg-type]


def test_banner_has_its_size_and_cannot_reach_the_page(tmp_path: Path) -> None:
    markup = "<script>parent.document.body.className = 'reached'</script><b>shoes</b>"
    banner = creative(CreativeKind.BANNER, width=300, height=250, markup=markup)
    document = shown(banner, tmp_path)
    assert title(document) == "img= video= iframe=300 over=false"
    assert "<body>" in document


def test_video_has_room_for_its_largest_file(tmp_path: Path) -> None:
    file = MediaFile(f"https://cdn.acme.example/{'a' * 300}.mp4", "video/mp4", 640, 360, 800)
    video = creative(CreativeKind.VIDEO, media=Media(video=VideoMedia(15, (file,))))
    document = shown(video, tmp_path)
    assert title(document) == "img= video=640 iframe= over=false"
    assert "&lt;VAST version=" in document


def test_native_card_shows_its_pictures(tmp_path: Path) -> None:
    main = NativeImage("main", picture(600, 314), "image/png", 600, 314)
    icon = NativeImage("icon", picture(80, 80), "image/png", 80, 80)
    media = NativeMedia(("Spring shoes",), (main, icon), {"sponsored": ("Acme",)})
    native = creative(CreativeKind.NATIVE, media=Media(native=media))
    assert title(shown(native, tmp_path)) == "img=600,80 video= iframe= over=false"
