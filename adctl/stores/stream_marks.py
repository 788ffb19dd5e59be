"""Ids of stream entries once they have left their stream, where shards' streams come together.

``<ms>-<seq>`` is an entry of the first shard's stream, ``<ms>-<seq>@<shard>`` one of another's.
Only ids of one stream can be compared, so a reader of all of them has come to an id of each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from adctl.stores.stream import id_order

if TYPE_CHECKING:
    from collections.abc import Iterable

_ID = re.compile(r"(\d+-\d+)(?:@(\d+))?")


def outward_id(stream_id: str, shard: int) -> str:
    """Return the id that an entry of a shard's stream has outside."""
    return f"{stream_id}@{shard}" if shard else stream_id


def is_outward_id(text: str) -> bool:
    """Return whether ``text`` is such an id."""
    return _ID.fullmatch(text) is not None


class StreamMarks:
    """How far a reader has come in each stream; as text, the newest ids with a space between."""

    def __init__(self, text: str = "") -> None:
        self._newest = dict(map(_split, text.split()))

    @classmethod
    def at(cls, ids: Iterable[str]) -> StreamMarks:
        """Return the marks of a reader that has come to ``ids``, by shard, as they are inside."""
        return cls(" ".join(outward_id(inner, shard) for shard, inner in enumerate(ids)))

    def advance(self, outward: str) -> bool:
        """Come to an entry; False if the reader had been there."""
        shard, stream_id = _split(outward)
        if id_order(stream_id) <= id_order(self._newest.get(shard, "")):
            return False
        self._newest[shard] = stream_id
        return True

    def __str__(self) -> str:
        """Return the text these marks can be made of again."""
        return " ".join(outward_id(self._newest[shard], shard) for shard in sorted(self._newest))


def _split(outward: str) -> tuple[int, str]:
    found = _ID.fullmatch(outward)
    if found is None:
        raise ValueError(f"{outward!r} is no id of a stream entry")
    return int(found[2] or 0), found[1]
