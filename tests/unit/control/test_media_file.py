"""Media files are real ones: a WAV file, which needs no encoder, stands for all."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import pytest

from adctl.control.media_file import read_media_file, read_media_options
from adctl.errors import FaultyInputError

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://cdn.acme.example/"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with wave.open(str(tmp_path / "tone.wav"), "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(b"\x80" * 8000 * 3)
    (tmp_path / "spot.toml").write_text('duration_sec = 15\ntag_url = "https://a.example/vast"\n')
    (tmp_path / "broken.toml").write_text("duration_sec =")
    (tmp_path / "assets.toml").write_text('titles = ["Shoes"]\n')
    (tmp_path / "text.mp4").write_text("not a film")
    return tmp_path


def test_file_tells_its_length_type_and_bit_rate(folder: Path) -> None:
    facts = read_media_file(folder / "tone.wav", "--audio")
    assert (facts.mime, facts.duration_sec, facts.bitrate_kbps) == ("audio/vnd.wave", 3, 64)
    assert (facts.width, facts.height) == (0, 0)


def test_options_add_where_the_file_is_served_from(folder: Path) -> None:
    fields = read_media_options({"audio": "tone.wav", "media_url": URL + "tone.wav"}, folder)
    assert fields["kind"] == "audio"
    audio = fields["audio"]
    assert isinstance(audio, dict)
    assert audio["duration_sec"] == 3
    assert audio["files"][0]["url"] == URL + "tone.wav"


def test_address_needs_no_file(folder: Path) -> None:
    options = {"video": URL + "a.mp4", "duration": 15, "bitrate": 800, "size": "640x360"}
    video = read_media_options(options, folder)["video"]
    assert isinstance(video, dict)
    file = {"mime": "video/mp4", "width": 640, "height": 360, "bitrate_kbps": 800}
    assert video["files"] == [{"url": URL + "a.mp4", **file}]


def test_tag_keeps_its_size_beside_the_table(folder: Path) -> None:
    options = {"vast_tag": URL + "vast", "duration": 30, "size": "640x360"}
    fields = read_media_options(options, folder)
    assert (fields["kind"], fields["size"]) == ("video", "640x360")


def test_table_file_is_taken_whole(folder: Path) -> None:
    video = read_media_options({"video": "spot.toml", "skip_after": 5}, folder)["video"]
    assert isinstance(video, dict)
    assert (video["tag_url"], video["skip_after_sec"]) == ("https://a.example/vast", 5)


def test_banner_options_pass_through(folder: Path) -> None:
    assert read_media_options({"size": "300x250"}, folder) == {"size": "300x250"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"video": "missing.mp4"}, "--video: got"),
        ({"video": "text.mp4"}, "a video or audio file"),
        ({"video": "broken.toml"}, "TOML, or JSON in a .json file"),
        ({"native": "missing.toml"}, "--native: got"),
        ({"audio": "tone.wav", "duration": 5}, "--duration: got 5; expected 3"),
        ({"video": URL + "a.mp4", "size": "large"}, "--size: got 'large'"),
        ({"video": "spot.toml", "audio": "tone.wav"}, "no other of --video"),
        ({"skip_after": 5}, "--skip-after: got 5; expected a video or audio ad"),
    ],
)
def test_fault_names_the_option(folder: Path, options: dict[str, object], told: str) -> None:
    with pytest.raises(FaultyInputError) as error:
        read_media_options(options, folder)
    assert told in str(error.value)
