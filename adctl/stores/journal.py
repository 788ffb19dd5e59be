"""Events that Redis has taken, kept by the tracker too until PostgreSQL has them.

One journal per worker, of small segments (adctl.stores.segments). They are written, not synced:
the operating system has them before the caller is answered, whatever Redis' disk does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from adctl.stores.segments import Segment, Segments
from adctl.stores.spool_records import Portion, encode_record
from adctl.stores.stream import id_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from adctl.delivery.tracking import TrackedEvent

log = structlog.get_logger()

SEGMENT_BYTES = 1 << 20
SEGMENT_SEC = 1.0
# While PostgreSQL is away, segments are ended by their size only: nobody waits for many small ones.
_MOST_SMALL = 8


class _Known:
    """What is known of a segment: whose shards' events it holds, and how many.

    ``marks`` are, by shard, stream ids that none of them is beyond; without them it is not known
    when PostgreSQL has them. What an earlier process left is not ``read`` yet.
    """

    def __init__(self, *, read: bool) -> None:
        self.shards: set[int] = set()
        self.events = 0
        self.marks: dict[int, str] = {}
        self.read = read


class Journal:
    """The journal of one worker; used from its thread only. At most ``max_bytes`` on disk.

    An event stays until PostgreSQL has it: ``mark`` is told how far the streams are, and
    ``release`` how far PostgreSQL is. From ``rewind`` on, ``peek`` goes through all there is.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        max_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
        patience_sec: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over what an earlier process left; raises ConflictError as Segments does."""
        self._max_bytes = max_bytes
        segment_bytes = min(segment_bytes, max_bytes // 4)
        self._segments = Segments(folder, name, segment_bytes, patience_sec, synced=False)
        self._known = {segment.path: _Known(read=False) for segment in self._segments.all}
        self._clock = clock
        self._began = 0.0
        self._again: list[Segment] = []
        self._read_at = 0
        self._portion: Portion | None = None

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._segments.size

    @property
    def rewound(self) -> bool:
        """Whether there is something left to go through."""
        return bool(self._again)

    def shards(self, every: int) -> Sequence[int]:
        """Return the shards of the events in it: all of ``every`` where that is not known yet."""
        if not all(known.read for known in self._known.values()):
            return range(every)
        return sorted(set[int]().union(*(known.shards for known in self._known.values())))

    def append(self, events: Sequence[TrackedEvent]) -> int:
        """Keep events. Raises OSError when they could not be.

        Returns how many older ones had to go for them: while PostgreSQL is far behind, Redis has
        had the oldest for longest.
        """
        data = b"".join(map(encode_record, events))
        gone = 0
        while self._segments.all and self._segments.size + len(data) > self._max_bytes:
            gone += self._drop(self._segments.all[0]).events
        path = self._segments.write(data)
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = _Known(read=True)
            self._began = self._clock()
        known.events += len(events)
        known.shards.update([tracked.shard for tracked in events])
        return gone

    def seal(self) -> None:
        """End the segment that is being written if it is old enough to be marked."""
        few = len(self._segments.all) <= _MOST_SMALL
        if self._segments.open and few and self._clock() >= self._began + SEGMENT_SEC:
            self._segments.seal()

    def mark(self, newest: Mapping[int, str]) -> None:
        """Take note, by shard, of an id the stream has given out since what is sealed was taken."""
        unread = {segment.path for segment in self._again} | {self._segments.open}
        for path, known in self._known.items():
            if path not in unread and not known.marks and known.shards <= newest.keys():
                known.marks = {shard: newest[shard] for shard in known.shards}

    def release(self, flushed: Mapping[int, str]) -> None:
        """Drop the segments of which PostgreSQL has everything: it has come to these ids."""
        for segment in [one for one in self._segments.all if self._flushed(one, flushed)]:
            self._drop(segment)

    def rewind(self) -> None:
        """Go through all of it, from the beginning; what was marked has to be marked again."""
        self._segments.seal()
        self._again = list(self._segments.all)
        self._read_at = 0
        for known in self._known.values():
            known.marks = {}

    def peek(self, limit: int) -> tuple[TrackedEvent, ...]:
        """Return the next events, at most ``limit``; none only at the end. Raises OSError."""
        while self._again:
            segment = self._again[0]
            portion = self._segments.read(segment, self._read_at, limit)
            if portion.damaged:
                log.error("damaged events in the journal", path=str(segment.path))
            if portion.events:
                self._portion = portion
                return portion.events
            self._move_to(self._read_at + portion.skipped)
        return ()

    def advance(self, count: int) -> None:
        """Go on behind the first ``count`` of the events that were peeked at."""
        portion, self._portion = self._portion, None
        if portion is None or not count or not self._again:
            return
        known = self._known[self._again[0].path]
        if not known.read:
            known.events += count
            known.shards.update([tracked.shard for tracked in portion.events[:count]])
        self._move_to(self._read_at + portion.ends[count - 1])

    def close(self) -> None:
        """Let go of the files; what they hold stays."""
        self._segments.close()

    def _flushed(self, segment: Segment, flushed: Mapping[int, str]) -> bool:
        known = self._known[segment.path]
        return bool(known.marks) and all(
            shard in flushed and id_order(flushed[shard]) >= id_order(newest)
            for shard, newest in known.marks.items()
        )

    def _drop(self, segment: Segment) -> _Known:
        if self._again and self._again[0].path == segment.path:
            self._read_at, self._portion = 0, None
        self._again = [one for one in self._again if one.path != segment.path]
        self._segments.drop(segment)
        return self._known.pop(segment.path)

    def _move_to(self, offset: int) -> None:
        self._read_at = offset
        segment = self._again[0]
        if offset < segment.size:
            return
        self._again.pop(0)
        self._read_at = 0
        known = self._known[segment.path]
        known.read = True
        if not known.shards:
            # Nothing in it can be read.
            self._drop(segment)
