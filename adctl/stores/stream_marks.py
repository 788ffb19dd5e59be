"""Ids of stream entries once they have left their stream, where shards' streams come together.

``<ms>-<seq>`` is an entry of the first shard's stream, ``<ms>-<seq>@<shard>`` one of another's.
Only ids of one stream can be compared, so a reader of all of them has come to an id of each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Order = tuple[int, int]

_ID = re.compile(r"([0-9]+)-([0-9]+)(?:@([0-9]+))?")
_BEFORE_ALL = (-1, -1)


def outward_id(stream_id: str, shard: int) -> str:
    """Return the id that an entry of a shard's stream has outside."""
    return f"{stream_id}@{shard}" if shard else stream_id


def is_outward_id(text: str) -> bool:
    """Return whether ``text`` is such an id."""
    return _ID.fullmatch(text) is not None


class StreamMarks:
    """How far a reader has come in each stream; as text, the newest ids with a space between."""

    def __init__(self, text: str = "") -> None:
        self._newest: dict[int, Order] = dict(map(_split, text.split()))

    @classmethod
    def at(cls, ids: Iterable[str]) -> StreamMarks:
        """Return the marks of a reader that has come to ``ids``, by shard, as they are inside."""
        return cls(" ".join(outward_id(inner, shard) for shard, inner in enumerate(ids)))

    def advance(self, outward: str) -> bool:
        """Come to an entry; False if the reader had been there."""
        shard, order = _split(outward)
        if order <= self._newest.get(shard, _BEFORE_ALL):
            return False
        self._newest[shard] = order
        return True

    def covers(self, outward: str) -> bool:
        """Return whether the reader has been at an entry."""
        shard, order = _split(outward)
        return order <= self._newest.get(shard, _BEFORE_ALL)

    def reaches(self, other: StreamMarks) -> bool:
        """Return whether the reader has come as far as another, in each stream."""
        return all(
            self._newest.get(shard, _BEFORE_ALL) >= order for shard, order in other._newest.items()
        )

    def __bool__(self) -> bool:
        """Return whether the reader has come anywhere."""
        return bool(self._newest)

    def __str__(self) -> str:
        """Return the text these marks can be made of again."""
        return " ".join(
            outward_id(f"{ms}-{seq}", shard) for shard, (ms, seq) in sorted(self._newest.items())
        )


def _split(outward: str) -> tuple[int, Order]:
    found = _ID.fullmatch(outward)
    if found is None:
        raise ValueError(f"{outward!r} is no id of a stream entry")
    return int(found[3] or 0), (int(found[1]), int(found[2]))
