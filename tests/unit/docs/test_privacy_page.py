"""docs/privacy.md explains every word for why something is withheld, each once."""

from __future__ import annotations

import re
from pathlib import Path

from adctl.delivery.consent import permissions
from adctl.delivery.consent.us import LAYOUTS

PAGE = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text()
_LAWS = {permissions.DEVICE, permissions.GDPR, permissions.US, permissions.OTHER}


def test_every_reason_is_explained_once() -> None:
    table = PAGE[PAGE.index("## Reasons") : PAGE.index("## What is stored")]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    words = {
        value
        for name, value in vars(permissions).items()
        if name.isupper() and isinstance(value, str)
    }
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(words - _LAWS)


def test_sections_said_to_be_read_are() -> None:
    assert "7 (US national, versions 1 and 2) and 8 to 23 (states)" in PAGE
    assert set(LAYOUTS) == {(7, 1), (7, 2), *((section, 1) for section in range(8, 24))}
