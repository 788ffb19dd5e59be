"""Parts of an event that can be missing, without the event being any less true."""

from __future__ import annotations

from typing import NamedTuple


class LeftOut(NamedTuple):
    """A part of an event that was told and could not be read.

    ``detail`` is the field's name in JSON, ``reason`` a word to count by, ``got`` its beginning.
    """

    detail: str
    reason: str
    got: str
    expected: str
