"""Text as editors save it: with or without a byte order mark, in UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

# The mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(content: bytes) -> str:
    """Return the text in ``content``: as its byte order mark says, which is left out, else UTF-8.

    Raises UnicodeDecodeError for what is none.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding)


def read_toml(path: Path | Traversable) -> dict[str, Any]:
    """Return the table in a TOML file. Raises OSError, and ValueError if it is none."""
    return tomllib.loads(decode_text(path.read_bytes()))
