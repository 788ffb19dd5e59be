"""A page that shows a creative as a viewer will see it, with what is sent for it below."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree

from adctl.delivery.landing_page import without_macros
from adctl.delivery.markup import banner_markup
from adctl.delivery.media.audio import audio_markup
from adctl.delivery.media.video import video_markup
from adctl.delivery.tracking_urls import TrackingUrls
from adctl.errors import Fault, FaultyInputError
from adctl.openrtb import Audio, Video

if TYPE_CHECKING:
    from adctl.models import (
        AudioMedia,
        Creative,
        MediaFile,
        NativeMedia,
        VideoMedia,
    )

# Seen on the page but for no one's count.
_NO_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
_SAMPLE = TrackingUrls(
    nurl="",
    burl="",
    lurl="",
    impression="https://tracker.example/track/impression?t=TOKEN&p=${AUCTION_PRICE}",
    click="https://tracker.example/track/click?t=TOKEN",
)
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
       padding: 0 1rem; color: #1d2433; background: #f4f5f8 }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem }
dt { color: #5b6577 } dd { margin: 0; overflow-wrap: anywhere }
.stage { background: #fff; border: 1px solid #d8dce5; border-radius: 8px; padding: 1rem;
         overflow: auto }
iframe { border: 0; display: block }
video { max-width: 100%; height: auto; background: #000; display: block }
pre { background: #1d2433; color: #e8ebf2; padding: 1rem; border-radius: 8px; font-size: .8rem;
      white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; font-size: .85rem } td, th { text-align: left;
      padding: .2rem .8rem .2rem 0; overflow-wrap: anywhere }
.card { width: 22rem; border: 1px solid #d8dce5; border-radius: 8px; overflow: hidden }
.card .main { width: 100%; display: block } .card .text { padding: .8rem; display: grid;
      grid-template-columns: auto 1fr; gap: .3rem .8rem; align-items: center }
.card .icon { width: 48px; height: 48px; border-radius: 8px } .card strong { display: block }
.card .rest { grid-column: 1 / -1 } .card small { color: #5b6577 }
.card .cta { display: inline-block; background: #2155d9; color: #fff; border-radius: 6px;
      padding: .3rem .9rem; text-decoration: none }
"""


def write_preview(creative: Creative, path: Path | None = None) -> Path:
    """Write the page to ``path``, or to creative-ID.html in the current folder; return where.

    Raises FaultyInputError if it cannot be written there.
    """
    path = path or Path(f"creative-{creative.id}.html")
    try:
        path.write_text(preview_page(creative), encoding="utf-8")
    except OSError as exc:
        fault = Fault("--out", str(path), f"a file that can be written ({exc.strerror})")
        raise FaultyInputError("the preview", [fault]) from exc
    return path


def preview_page(creative: Creative) -> str:
    """Return the page as HTML. It loads the creative's own files, and tells no tracker of it.

    A banner's markup runs in a frame of its own, without access to the page.
    """
    media = creative.media
    if media.video is not None:
        shown = _video(creative, media.video)
    elif media.audio is not None:
        shown = _audio(creative, media.audio)
    elif media.native is not None:
        shown = _native(creative, media.native)
    else:
        shown = _banner(creative)
    facts = {
        "creative": f"{creative.id}, {creative.kind}, {creative.status}",
        "campaign": str(creative.campaign_id),
        "landing page": creative.landing_url,
        "advertiser": ", ".join(creative.adomain),
    }
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(creative.name)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(creative.name)}</h1><dl>{listed}</dl>{shown}</body></html>\n"
    )


def _banner(creative: Creative) -> str:
    urls = TrackingUrls("", "", "", impression=_NO_PIXEL, click=_landing(creative))
    style = "<style>body{margin:0;overflow:hidden}</style>"
    page = f"<!doctype html>{style}{banner_markup(creative, urls)}"
    frame = (
        f'<iframe width="{creative.width}" height="{creative.height}" '
        f'sandbox="allow-scripts allow-popups" srcdoc="{escape(page)}"></iframe>'
    )
    return _stage(f"Banner, {creative.width}x{creative.height}", frame) + _source(
        "Its markup", banner_markup(creative, _SAMPLE)
    )


def _video(creative: Creative, media: VideoMedia) -> str:
    slot = Video(mimes=[file.mime for file in media.files] or ["video/mp4"])
    # The room it takes, also before it is loaded.
    largest = max(media.files, key=lambda file: file.width, default=None)
    room = (
        f' width="{largest.width}" height="{largest.height}"' if largest and largest.width else ""
    )
    player = f"<video controls preload=auto{room}>{_sources(media.files)}</video>"
    return _linear(f"Video, {media.duration_sec} s", player, media) + _source(
        "Its VAST", _indented(video_markup(creative, slot, _SAMPLE, "BID"))
    )


def _audio(creative: Creative, media: AudioMedia) -> str:
    slot = Audio(mimes=[file.mime for file in media.files] or ["audio/mpeg"])
    player = f"<audio controls preload=auto>{_sources(media.files)}</audio>"
    return _linear(f"Audio, {media.duration_sec} s", player, media) + _source(
        "Its VAST", _indented(audio_markup(creative, slot, _SAMPLE, "BID"))
    )


def _linear(title: str, player: str, media: VideoMedia | AudioMedia) -> str:
    if media.tag_url:
        return _stage(title, f"<p>Behind the VAST tag {escape(media.tag_url)}</p>")
    heads = "".join(f"<th>{head}</th>" for head in ("type", "size", "kbit/s", "delivery", "URL"))
    rows = "".join(
        f"<tr><td>{escape(file.mime)}</td><td>{_size(file)}</td>"
        f"<td>{file.bitrate_kbps or 'adaptive'}</td><td>{file.delivery}</td>"
        f"<td>{escape(file.url)}</td></tr>"
        for file in media.files
    )
    return _stage(title, f"{player}<table><tr>{heads}</tr>{rows}</table>")


def _native(creative: Creative, media: NativeMedia) -> str:
    picture, icon = _picture(media, "main"), _picture(media, "icon")
    texts = {name: escape(found[0]) for name, found in media.data.items()}
    sponsor = f"<small>{texts.get('sponsored', 'Sponsored')}</small>"
    action = texts.get("ctatext")
    button = (
        f'<a class="cta" href="{escape(_landing(creative))}" target="_blank">{action}</a>'
        if action
        else ""
    )
    rest = f'<div class="rest">{texts.get("desc", "")}</div><div class="rest">{button}</div>'
    head = f"<div><strong>{escape(media.titles[0])}</strong>{sponsor}</div>"
    card = f'<div class="card">{picture}<div class="text">{icon}{head}{rest}</div></div>'
    return _stage("Native, as a publisher may lay it out", card) + _assets(media)


def _picture(media: NativeMedia, role: str) -> str:
    url = next((image.url for image in media.images if image.role == role), None)
    return f'<img class="{role}" src="{escape(url)}" alt="{role}">' if url else ""


def _assets(media: NativeMedia) -> str:
    rows = [("title", title) for title in media.titles]
    rows += [(f"{i.role}, {i.width}x{i.height}", i.url) for i in media.images]
    rows += [(name, text) for name, texts in media.data.items() for text in texts]
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)
    return _stage("All its assets", f"<table>{cells}</table>")


def _stage(title: str, content: str) -> str:
    return f'<h2>{escape(title)}</h2><div class="stage">{content}</div>'


def _source(title: str, text: str) -> str:
    return f"<h2>{escape(title)}</h2><pre>{escape(text)}</pre>"


def _sources(files: tuple[MediaFile, ...]) -> str:
    return "".join(f'<source src="{escape(f.url)}" type="{escape(f.mime)}">' for f in files)


def _size(file: MediaFile) -> str:
    return f"{file.width}x{file.height}" if file.width else "none"


def _landing(creative: Creative) -> str:
    return without_macros(creative.landing_url)


def _indented(vast: str) -> str:
    root = etree.fromstring(vast, etree.XMLParser(strip_cdata=False))
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")
