"""Durations as people type them."""

from __future__ import annotations

import re

LONGEST_SEC = 24 * 3600
EXPECTED = f"a duration such as 30s, 5m or 1h, at most {LONGEST_SEC // 3600}h"
"""What is right, for whoever got it wrong."""

_DURATION = re.compile(r"([0-9]{1,6})([smh]?)")
_UNIT_SEC = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> int | None:
    """Return the whole seconds of a duration, at least one; None if it is none."""
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = int(match[1]) * _UNIT_SEC[match[2]] if match else 0
    return seconds if 1 <= seconds <= LONGEST_SEC else None
