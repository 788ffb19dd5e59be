"""Large things of Redis in pieces: while it works on a command, nobody's bid is decided."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import redis

_T = TypeVar("_T")
# Fields or members in one answer; Redis takes less than a millisecond for them.
_SCANNED = 500
PIECE = 200
"""Commands of a pipeline, keys or fields of a command: well below a millisecond, too."""


def pieces(items: Iterable[_T], size: int = PIECE) -> Iterator[tuple[_T, ...]]:
    """Yield ``items`` in tuples of ``size``; the last may be shorter."""
    iterator = iter(items)
    while piece := tuple(islice(iterator, size)):
        yield piece


def scan_hash(client: redis.Redis, key: str) -> dict[str, str]:
    """Return a hash's fields. One that changes meanwhile may be as before or as after, each field.

    A field that was there all the time is never missing.
    """
    found: dict[str, str] = {}
    for some in hash_pieces(client, key):
        found |= some
    return found


def hash_pieces(client: redis.Redis, key: str) -> Iterator[dict[str, str]]:
    """Yield a hash's fields as ``scan_hash`` finds them; a field may come twice."""
    cursor = 0
    while True:
        reply: Any = client.hscan(key, cursor, count=_SCANNED)
        cursor, some = int(reply[0]), reply[1]
        yield some
        if not cursor:
            return


def scan_set(client: redis.Redis, key: str) -> set[str]:
    """Return a set's members. One that comes or goes meanwhile may be among them or not."""
    found: set[str] = set()
    cursor = 0
    while True:
        reply: Any = client.sscan(key, cursor, count=_SCANNED)
        found.update(reply[1])
        cursor = int(reply[0])
        if not cursor:
            return found
