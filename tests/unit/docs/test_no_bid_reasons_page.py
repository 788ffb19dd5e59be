"""docs/no-bid-reasons.md explains the words of adctl.delivery.reasons, each once."""

from __future__ import annotations

import re
from pathlib import Path

from adctl.delivery import reasons

PAGE = (Path(__file__).parents[3] / "docs" / "no-bid-reasons.md").read_text()


def explained() -> list[tuple[str, str, str]]:
    return re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


def test_every_reason_is_explained_once() -> None:
    words = [value for name, value in vars(reasons).items() if name.isupper() and name != "WON"]
    words = [word for word in words if isinstance(word, str)]
    assert sorted(word for word, _, _ in explained()) == sorted(words)


def test_every_reason_says_what_to_do() -> None:
    assert [word for word, _, advice in explained() if len(advice) < len("Nothing.")] == []
