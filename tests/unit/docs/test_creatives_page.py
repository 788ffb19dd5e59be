"""docs/creatives.md and its example files are what the validation takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adctl.control.creative_input import CREATIVE_DEFAULTS, read_creative
from adctl.control.fields import FieldReader
from adctl.control.media_file import read_media_options
from adctl.control.merging import merge
from adctl.models import AudioMedia, Media, NativeMedia, VideoMedia

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "creatives.md").read_text()
COMMON = {"name": "ad", "landing_url": "https://www.acme.example/"}


def accepted(fields: dict[str, Any]) -> Media:
    reader = FieldReader(merge(CREATIVE_DEFAULTS, fields))
    columns = read_creative(reader)
    assert reader.faults == []
    return msgspec.convert(columns["media"], Media)


def test_the_page_s_json_is_a_creative() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    media = accepted(msgspec.json.decode(example))
    assert media.video is not None
    assert media.video.duration_sec == 15


def test_the_video_file_is_a_creative() -> None:
    media = accepted(read_media_options(COMMON | {"video": "examples/video.toml"}, DOCS)).video
    assert media is not None
    assert [file.delivery for file in media.files] == ["progressive", "progressive", "streaming"]


def test_the_native_file_is_a_creative() -> None:
    options = COMMON | {"native": Path("examples/native.toml")}
    media = accepted(read_media_options(options, DOCS)).native
    assert media is not None
    assert len(media.images) == 3
    assert media.data["desc"][1] == "Light shoes for long runs."


@pytest.mark.parametrize("form", [VideoMedia, AudioMedia, NativeMedia])
def test_the_page_names_every_field_that_only_files_have(form: Any) -> None:
    told = PAGE + "".join(path.read_text() for path in (DOCS / "examples").glob("*.toml"))
    own = set(form.__struct_fields__) - {"tag_url"}
    assert [name for name in own if not re.search(rf"\b{name}\b", told)] == []
