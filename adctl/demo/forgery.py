"""Tracking URLs that were not signed for what they are used for. Every one must get a 403."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import random


def forge(genuine: str, rng: random.Random) -> str:
    """Return a URL made from the ``genuine`` URL of an impression that proves nothing."""
    parts = urlsplit(genuine)
    base = f"{parts.scheme}://{parts.netloc}"
    token = parse_qs(parts.query)["t"][0]
    signature_at = token.index(".") + 1
    return rng.choice(
        (
            f"{base}/track/impression?t={_with_change(token, signature_at + 5)}&p=0.01",
            f"{base}/track/impression?t={_with_change(token, signature_at // 2)}&p=0.01",
            f"{base}/track/impression?t={token[:-8]}&p=1.00",
            f"{base}/track/impression?t={token[:signature_at]}&p=1.00",
            f"{base}/track/click?t={token}",
            f"{base}/track/conversion?t={token}",
            f"{base}/notice/bill?t={token}&p=0.01",
            f"{base}/notice/loss?t={token}&r=102",
            f"{base}/track/impression?t=&p=1.00",
        )
    )


def _with_change(token: str, at: int) -> str:
    other = "B" if token[at] != "B" else "C"
    return token[:at] + other + token[at + 1 :]
