r"""How an event stands in a spool file, so that damage to one never costs another.

A record is ``LENGTH CRC JSON\n``: the JSON's length in bytes and the CRC-32 of the length and the
JSON, both as eight hexadecimal digits. JSON as we write it has no line break, so that after a
record that is torn or damaged the next one begins behind the next line break.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

import msgspec

from adctl.delivery.tracking import TrackedEvent

VERSION = 1
MAX_RECORD_BYTES = 16 << 10
"""More than any event takes, line break included. What claims to be longer is damaged."""

_CRC_AT, _JSON_AT = 9, 18

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TrackedEvent).decode


class Portion(NamedTuple):
    """Events that stand one behind the other, and the offset at which each ends.

    Before the first there were ``damaged`` places; the first begins ``skipped`` bytes in.
    """

    skipped: int
    damaged: int
    events: tuple[TrackedEvent, ...]
    ends: tuple[int, ...]


def encode_record(tracked: TrackedEvent) -> bytes:
    """Return an event as a record."""
    text = _encode(tracked)
    length = b"%08x " % len(text)
    return b"%b%08x %b\n" % (length, crc32(length + text), text)


def read_portion(data: bytes, limit: int, *, whole: bool) -> Portion:
    """Return at most ``limit`` events from the front of ``data``, up to the first damage.

    Damage at the very front is skipped. ``whole`` says that nothing follows ``data``: what is cut
    short at its end is damage then, and else left for the next time.
    """
    at = damaged = 0
    while (found := _record_at(data, at)) is None and at < len(data):
        if not whole and len(data) - at < MAX_RECORD_BYTES:
            break
        damaged += 1
        at = _behind_line(data, at)
    skipped = at
    events: list[TrackedEvent] = []
    ends: list[int] = []
    while found is not None and len(events) < limit:
        event, at = found
        events.append(event)
        ends.append(at)
        found = _record_at(data, at)
    return Portion(skipped, damaged, tuple(events), tuple(ends))


def _record_at(data: bytes, at: int) -> tuple[TrackedEvent, int] | None:
    """Return the event at an offset, and where the next one would be; None if there is none."""
    try:
        length = int(data[at : at + _CRC_AT], 16)
        crc = int(data[at + _CRC_AT : at + _JSON_AT], 16)
    except ValueError:
        return None
    end = at + _JSON_AT + length
    # The line break has to be there: without it the record was not written whole.
    if not at <= end < min(at + MAX_RECORD_BYTES, len(data)):
        return None
    text = data[at + _JSON_AT : end]
    if crc32(data[at : at + _CRC_AT] + text) != crc:
        return None
    try:
        return _decode(text), end + 1
    except msgspec.MsgspecError:
        return None


def _behind_line(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    return len(data) if end < 0 else end + 1
