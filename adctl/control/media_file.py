"""From what people give a command to what a creative is made of: media files, tags, assets."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pymediainfo import MediaInfo

from adctl.control.table_file import load_table_file
from adctl.control.targeting_input import normal_size
from adctl.delivery.media.mimes import registered
from adctl.delivery.media.native import DATA_TYPES
from adctl.errors import Fault, FaultyInputError
from adctl.models import AudioMedia, CreativeKind, NativeMedia, VideoMedia

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TABLES = (".toml", ".json")
_KINDS = {
    "video": "--video",
    "vast_tag": "--vast-tag",
    "audio": "--audio",
    "native": "--native",
}
_OF_MEDIA = {*_KINDS, "media_url", "mime", "duration", "bitrate", "skip_after"}
_LINEAR = {CreativeKind.VIDEO: VideoMedia, CreativeKind.AUDIO: AudioMedia}


class FileFacts(NamedTuple):
    """What a media file says of itself; pixels as it is shown, 0 for audio."""

    mime: str
    duration_sec: int
    bitrate_kbps: int
    width: int
    height: int


def read_media_options(chosen: Mapping[str, Any], folder: Path) -> dict[str, object]:
    """Return the fields of a creative from its options; relative paths are within ``folder``.

    A local video or audio file is read for what it says of itself; a TOML or JSON file is taken as
    the whole table. What is missing is left out, for the validation to name together with all
    else. Raises FaultyInputError if a file cannot be read or says otherwise than the options, or
    if options do not go together.
    """
    fields = {name: value for name, value in chosen.items() if name not in _OF_MEDIA}
    given = {name: value for name, value in chosen.items() if name in _OF_MEDIA}
    kinds = [option for option in _KINDS if option in given]
    if len(kinds) > 1:
        expected = f"no other of {', '.join(_KINDS.values())}"
        raise FaultyInputError("the creative", [Fault(_KINDS[kinds[1]], "given", expected)])
    if not kinds:
        if given:
            stray = next(iter(given))
            fault = Fault(f"--{stray.replace('_', '-')}", given[stray], "a video or audio ad")
            raise FaultyInputError("the creative", [fault])
        return fields
    if kinds == ["native"]:
        path = folder / given["native"]
        table = load_table_file(path, "--native", f"native assets {path}")
        # Named but empty, what an update leaves out is taken back.
        table = dict.fromkeys(NativeMedia.__struct_fields__) | table
        if isinstance(table["data"], dict):
            table["data"] = dict.fromkeys(DATA_TYPES) | table["data"]
        return fields | {"kind": "native", "native": table}
    kind = CreativeKind.AUDIO if kinds == ["audio"] else CreativeKind.VIDEO
    # A file tells its size in its own table.
    size = fields.pop("size", None)
    table = _linear_table(kind, given, size, folder)
    own_size = {"size": size} if "vast_tag" in given and size else {}
    return fields | {"kind": kind.value, kind.value: table} | own_size


def _linear_table(
    kind: CreativeKind, given: Mapping[str, Any], size: str | None, folder: Path
) -> dict[str, object]:
    source = given.get(kind) or ""
    table: dict[str, object] = dict.fromkeys(_LINEAR[kind].__struct_fields__)
    if source.lower().endswith(_TABLES) and "://" not in source:
        table |= load_table_file(folder / source, f"--{kind}", f"{kind} file {source}")
    elif source:
        table |= _one_file(kind, source, given, size, folder)
    else:
        table |= {"tag_url": given["vast_tag"], "duration_sec": given.get("duration")}
    if "skip_after" in given:
        table["skip_after_sec"] = given["skip_after"]
    return table


def read_media_file(path: Path, option: str) -> FileFacts:
    """Return what a video or audio file says of itself. Raises FaultyInputError if it is none."""
    try:
        with path.open("rb") as file:
            tracks = MediaInfo.parse(file).tracks
    # RuntimeError is the native library's.
    except (OSError, RuntimeError) as exc:
        fault = Fault(option, str(path), f"a readable media file ({exc})")
        raise FaultyInputError(f"media file {path}", [fault]) from exc
    whole: dict[str, Any] = next((t.to_data() for t in tracks if t.track_type == "General"), {})
    video: dict[str, Any] = next((t.to_data() for t in tracks if t.track_type == "Video"), {})
    if not whole.get("duration"):
        fault = Fault(option, str(path), "a video or audio file")
        raise FaultyInputError(f"media file {path}", [fault])
    width, height = int(video.get("width") or 0), int(video.get("height") or 0)
    # Turned by the player: a phone's upright film.
    if float(video.get("rotation") or 0) % 180 == 90:
        width, height = height, width
    return FileFacts(
        mime=registered(str(whole.get("internet_media_type") or "")),
        duration_sec=max(1, round(float(whole["duration"]) / 1000)),
        bitrate_kbps=max(1, round(float(whole.get("overall_bit_rate") or 0) / 1000)),
        width=width,
        height=height,
    )


def _one_file(
    kind: CreativeKind, source: str, given: Mapping[str, Any], size: str | None, folder: Path
) -> dict[str, object]:
    url: str | None = source
    if "://" in source:
        facts: dict[str, Any] = {"mime": mimetypes.guess_type(urlsplit(source).path)[0]}
    else:
        url = given.get("media_url")
        facts = read_media_file(folder / source, f"--{kind}")._asdict()
    told = _told(given, size)
    _refuse_contradictions(source, facts, told)
    known = facts | told
    file = {name: known.get(name) for name in ("mime", "bitrate_kbps", "width", "height")}
    if kind is CreativeKind.AUDIO:
        file |= {"width": None, "height": None}
    return {"duration_sec": known.get("duration_sec"), "files": [{"url": url, **file}]}


def _told(given: Mapping[str, Any], size: str | None) -> dict[str, Any]:
    names = {"mime": "mime", "duration": "duration_sec", "bitrate": "bitrate_kbps"}
    told = {names[option]: value for option, value in given.items() if option in names}
    if size is not None:
        sides = normal_size(size)
        if sides is None:
            fault = Fault("--size", size, "WIDTHxHEIGHT in pixels, such as 640x360")
            raise FaultyInputError("the media file", [fault])
        width, height = sides.split("x")
        told |= {"width": int(width), "height": int(height)}
    return told


def _refuse_contradictions(source: str, facts: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    options = {"duration_sec": "--duration", "width": "--size", "height": "--size"}
    faults = [
        Fault(option, told[name], f"{facts[name]}, as the file says ({name})")
        for name, option in options.items()
        if name in told and facts.get(name) not in {None, 0, told[name]}
    ]
    if faults:
        raise FaultyInputError(f"media file {source}", faults)
