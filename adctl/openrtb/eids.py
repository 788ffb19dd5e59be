"""Extended ids (3.2.27, 3.2.28): read apart from the request, and nothing in them is an error.

They are no part of what a request is decided on unless its user is known by nothing else. Whatever
is no id object costs itself alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

# Sources of one request that are looked at; ten times as many as pages are seen to send.
MAX_EIDS = 200


class Uid(msgspec.Struct, frozen=True, gc=False):
    """3.2.28, as it came."""

    id: Any = None
    atype: Any = None


class Eid(msgspec.Struct, frozen=True, gc=False):
    """3.2.27, as it came."""

    source: Any = None
    inserter: Any = None
    matcher: Any = None
    mm: Any = None
    uids: list[Uid] = []


_whole = msgspec.json.Decoder(list[Eid])
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_part = msgspec.json.Decoder(Eid)
_UNREADABLE = (msgspec.DecodeError, RecursionError, ValueError)


def read_eids(told: msgspec.Raw) -> list[Eid]:
    """Return the extended ids that can be read, of the first MAX_EIDS, in the order they came."""
    try:
        return _whole.decode(told)[:MAX_EIDS] if told else []
    except _UNREADABLE:
        return list(_readable(told))


def _readable(told: msgspec.Raw) -> Iterator[Eid]:
    try:
        parts = _parts.decode(told)
    except _UNREADABLE:
        parts = [told]
    for part in parts[:MAX_EIDS]:
        try:
            yield _part.decode(part)
        except _UNREADABLE:
            continue
