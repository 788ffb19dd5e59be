"""docs/targeting.md against the model it documents."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from adctl.models import Segments, Targeting

PAGE = (Path(__file__).parents[2] / "docs" / "targeting.md").read_text()


def test_the_page_names_every_list() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert set(Targeting.__struct_fields__) - {"segments"} <= named
    for kind in Segments.__struct_fields__:
        assert f".{kind}`" in PAGE


def test_the_page_s_file_is_a_targeting() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    targeting = msgspec.convert(tomllib.loads(example), Targeting, strict=False)
    assert targeting.time_windows[1].to_hour == 24
    assert targeting.segments.none == ("customers",)
