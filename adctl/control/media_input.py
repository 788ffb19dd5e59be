"""Reading what video, audio and native creatives are made of: every fault, by its field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from adctl.delivery.media.mimes import registered
from adctl.delivery.media.native import DATA_TYPES
from adctl.models import (
    AudioMedia,
    CreativeKind,
    Media,
    MediaFile,
    NativeImage,
    NativeMedia,
    VideoMedia,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from adctl.control.fields import FieldReader

MEDIA_KINDS = (CreativeKind.VIDEO, CreativeKind.AUDIO, CreativeKind.NATIVE)
LARGEST_PX = 10_000
_LONGEST_SEC = 3600
_MOST_KBPS = 1_000_000
_MOST_ITEMS = 20
_LONGEST_TEXT = 500
_BREAKS = ("pre", "mid", "post")
_DELIVERIES = ("progressive", "streaming")
# A manifest of HLS or DASH says nothing of what it lists.
_MANIFESTS = {"application/vnd.apple.mpegurl", "application/dash+xml"}
_TYPES = {
    CreativeKind.VIDEO: (re.compile(r"video/[a-z0-9.+-]+"), "a video type such as video/mp4"),
    CreativeKind.AUDIO: (re.compile(r"audio/[a-z0-9.+-]+"), "an audio type such as audio/mpeg"),
    CreativeKind.NATIVE: (re.compile(r"image/[a-z0-9.+-]+"), "an image type such as image/jpeg"),
}
# AdCOM 1.0: API Frameworks, Expandable Directions, Plcmt Subtypes, Playback Methods, Feed Types.
_APIS = range(1, 10)
_DIRECTIONS = range(1, 7)
_PLCMTS = range(1, 5)
_PLAYBACKS = range(1, 8)
_FEEDS = range(1, 4)
_OWN_NUMBERS = range(500, 1000)
_EXPECTED_HTTPS = "an https:// address where it is served from: adctl hosts nothing"


def read_media(reader: FieldReader, kind: CreativeKind) -> Media:
    """Return what a creative of ``kind`` is made of; faults go to ``reader``.

    Usable only if there are none. The table of another kind is a fault.
    """
    for other in MEDIA_KINDS:
        if other is not kind and reader.values.get(other) is not None:
            expected = f"no {other}: this is a {kind} creative, and stays one"
            reader.reject(other, "a table", expected)
    api = _numbers(reader, "api", _APIS, "an API framework: 1 to 9")
    expdir = _numbers(reader, "expdir", _DIRECTIONS, "an expandable direction: 1 to 6")
    if expdir and kind is not CreativeKind.BANNER:
        reader.reject("expdir", list(expdir), f"none: a {kind} creative does not expand")
    if kind is CreativeKind.BANNER:
        return Media(api=api, expdir=expdir)
    table = reader.nested(kind)
    if table is None:
        if reader.values.get(kind) is None:
            reader.reject(kind, None, f"what the {kind} ad is made of")
        return Media()
    if kind is CreativeKind.VIDEO:
        return Media(video=_video(table), api=api)
    if kind is CreativeKind.AUDIO:
        return Media(audio=_audio(table), api=api)
    return Media(native=_native(table), api=api)


def _video(table: FieldReader) -> VideoMedia:
    table.only(VideoMedia.__struct_fields__)
    duration_sec, files, tag_url = _linear(table, CreativeKind.VIDEO)
    skip_after_sec = None
    if table.values.get("skip_after_sec") is not None:
        skip_after_sec = table.integer(
            "skip_after_sec",
            lambda seconds: 0 <= seconds < max(duration_sec, 1),
            "seconds after which it may be skipped, less than its duration",
        )
        if tag_url:
            table.reject("skip_after_sec", skip_after_sec, "none: the ad behind the tag says so")
    return VideoMedia(
        duration_sec=duration_sec,
        files=files,
        tag_url=tag_url,
        skip_after_sec=skip_after_sec,
        breaks=_breaks(table),
        plcmt=_numbers(table, "plcmt", _PLCMTS, "a video placement (plcmt): 1 to 4"),
        playbackmethod=_numbers(table, "playbackmethod", _PLAYBACKS, "a playback method: 1 to 7"),
    )


def _audio(table: FieldReader) -> AudioMedia:
    table.only(AudioMedia.__struct_fields__)
    duration_sec, files, tag_url = _linear(table, CreativeKind.AUDIO)
    return AudioMedia(
        duration_sec=duration_sec,
        files=files,
        tag_url=tag_url,
        breaks=_breaks(table),
        feed=_numbers(table, "feed", _FEEDS, "1 (music service), 2 (broadcast) or 3 (podcast)"),
    )


def _linear(table: FieldReader, kind: CreativeKind) -> tuple[int, tuple[MediaFile, ...], str]:
    duration_sec = table.integer(
        "duration_sec",
        lambda seconds: 0 < seconds <= _LONGEST_SEC,
        f"its length in whole seconds, 1 to {_LONGEST_SEC}",
    )
    files = tuple(_file(row, kind) for row in _rows(table, "files"))
    tag_url = _https(table, "tag_url") or ""
    if bool(table.values.get("files")) == bool(table.values.get("tag_url")):
        given = "both" if tag_url else None
        table.reject("files", given, "media files, or the tag_url of a VAST tag, and not both")
    return duration_sec or 0, files, tag_url


def _file(row: FieldReader, kind: CreativeKind) -> MediaFile:
    row.only(MediaFile.__struct_fields__)
    manifest = registered(str(row.values.get("mime"))) in _MANIFESTS
    usual = "streaming" if manifest else "progressive"
    delivery = usual
    if row.values.get("delivery") is not None:
        delivery = row.choice("delivery", _DELIVERIES) or usual
    width = height = 0
    # A manifest offers several sizes and bit rates.
    if kind is CreativeKind.VIDEO and not manifest:
        width, height = _side(row, "width"), _side(row, "height")
    bitrate_kbps = 0
    if not manifest or row.values.get("bitrate_kbps") is not None:
        bitrate_kbps = (
            row.integer(
                "bitrate_kbps",
                lambda rate: 0 < rate <= _MOST_KBPS,
                "its bit rate in kbit/s, above 0",
            )
            or 0
        )
    return MediaFile(
        url=_https(row, "url", required=True) or "",
        mime=_mime(row, kind, _MANIFESTS),
        width=width,
        height=height,
        bitrate_kbps=bitrate_kbps,
        delivery=cast("Any", delivery),
    )


def _native(table: FieldReader) -> NativeMedia:
    table.only(NativeMedia.__struct_fields__)
    titles = _texts(table, "titles")
    if not titles:
        table.reject("titles", table.values.get("titles"), "at least one title")
    data: dict[str, tuple[str, ...]] = {}
    texts = table.nested("data")
    if texts is not None:
        texts.only(DATA_TYPES)
        data = {name: _texts(texts, name) for name in texts.values if name in DATA_TYPES}
    return NativeMedia(
        titles=titles,
        images=tuple(_image(row) for row in _rows(table, "images")),
        data={name: found for name, found in data.items() if found},
    )


def _image(row: FieldReader) -> NativeImage:
    row.only(NativeImage.__struct_fields__)
    return NativeImage(
        role=cast("Any", row.choice("role", ("main", "icon"))),
        url=_https(row, "url", required=True) or "",
        mime=_mime(row, CreativeKind.NATIVE, ()),
        width=_side(row, "width"),
        height=_side(row, "height"),
    )


def _rows(table: FieldReader, field: str) -> Iterator[FieldReader]:
    rows = table.items(field)
    if len(rows) > _MOST_ITEMS:
        table.reject(field, len(rows), f"at most {_MOST_ITEMS}")
        return
    for place, values in enumerate(rows):
        if isinstance(values, dict):
            yield table.inside(f"{field}[{place}]", values)
        else:
            table.reject(f"{field}[{place}]", values, "a table (a JSON object) of fields")


def _texts(table: FieldReader, field: str) -> tuple[str, ...]:
    return table.texts(
        field,
        lambda text: text if 0 < len(text) <= _LONGEST_TEXT and text.isprintable() else None,
        f"a text of 1 to {_LONGEST_TEXT} printable characters",
    )


def _https(reader: FieldReader, field: str, *, required: bool = False) -> str | None:
    if required and reader.values.get(field) is None:
        reader.reject(field, None, _EXPECTED_HTTPS)
        return None
    url = reader.url(field)
    if url is not None and not url.startswith("https://"):
        reader.reject(field, url, _EXPECTED_HTTPS)
        return None
    return url


def _mime(row: FieldReader, kind: CreativeKind, also: Collection[str]) -> str:
    pattern, expected = _TYPES[kind]
    text = row.text("mime", required=True)
    mime = registered(text) if text else ""
    if text and not (pattern.fullmatch(mime) or mime in also):
        row.reject("mime", text, expected)
    return mime


def _side(row: FieldReader, field: str) -> int:
    expected = f"pixels, 1 to {LARGEST_PX}"
    return row.integer(field, lambda pixels: 0 < pixels <= LARGEST_PX, expected) or 0


def _breaks(table: FieldReader) -> tuple[Any, ...]:
    return table.texts("breaks", lambda text: text if text in _BREAKS else None, "pre, mid or post")


def _numbers(
    reader: FieldReader, field: str, known: Collection[int], expected: str
) -> tuple[int, ...]:
    found: set[int] = set()
    for item in reader.items(field):
        if type(item) is int and (item in known or item in _OWN_NUMBERS):
            found.add(item)
        else:
            reader.reject(field, item, f"{expected}, or 500 to 999 for an exchange's own")
    return tuple(sorted(found))
