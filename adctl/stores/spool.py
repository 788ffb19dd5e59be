"""Events on disk while Redis is away: what has been answered is not lost, and is taken in order.

One spool per worker, of segments (adctl.stores.segments), each deleted when everything in it has
been taken.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from adctl.stores.segments import Segments, write_all
from adctl.stores.spool_records import MAX_RECORD_BYTES, Portion, encode_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from adctl.delivery.tracking import TrackedEvent

log = structlog.get_logger()

SEGMENT_BYTES = 4 << 20


class Spool:
    """The spool of one worker; used from its thread only. At most ``max_bytes`` on disk."""

    def __init__(
        self,
        folder: Path,
        name: str,
        max_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
        patience_sec: float = 0,
    ) -> None:
        """Take over what an earlier process left.

        Raises ConflictError where another process uses it, and still does after ``patience_sec``,
        or where another version has written it.
        """
        self._max_bytes = max_bytes
        segment_bytes = min(segment_bytes, max_bytes // 4)
        self._segments = Segments(folder, name, segment_bytes, patience_sec, synced=True)
        self._read_at = 0
        self._portion: Portion | None = None
        self.damaged = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._segments.all

    @property
    def size(self) -> int:
        """Bytes on disk; those of events that have been taken go file by file."""
        return self._segments.size

    @property
    def full(self) -> bool:
        """Whether there may be no room for another event."""
        return self.size + MAX_RECORD_BYTES > self._max_bytes

    def append(self, events: Sequence[TrackedEvent]) -> int:
        """Keep events; return how many of them, from the first, are on disk.

        Fewer than all where the spool is full. Raises OSError when none could be written.
        """
        room = self._max_bytes - self.size
        records: list[bytes] = []
        for tracked in events:
            record = encode_record(tracked)
            room -= len(record)
            if room < 0:
                break
            records.append(record)
        if records:
            self._segments.write(b"".join(records))
        return len(records)

    def peek(self, limit: int) -> tuple[TrackedEvent, ...]:
        """Return the oldest events that wait, at most ``limit``; none only if the spool is empty.

        Damaged records on the way are left behind, and counted in ``damaged``. Raises OSError.
        """
        while self._segments.all:
            head = self._segments.all[0]
            portion = self._segments.read(head, self._read_at, limit)
            self.damaged += portion.damaged
            if portion.damaged:
                log.error(
                    "damaged events in the spool", places=portion.damaged, path=str(head.path)
                )
            if portion.events:
                self._portion = portion
                return portion.events
            self._move_to(self._read_at + portion.skipped)
        return ()

    def forget(self, count: int) -> None:
        """Forget the first ``count`` of the events that were peeked at: they have been taken."""
        if self._portion is not None and count:
            portion, self._portion = self._portion, None
            self._move_to(self._read_at + portion.ends[count - 1])

    def probe(self) -> None:
        """Return if something can be written to disk. Raises OSError."""
        path = self._segments.folder / f".{self._segments.name}.probe"
        try:
            probing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                write_all(probing, bytes(MAX_RECORD_BYTES))
                os.fdatasync(probing)
            finally:
                os.close(probing)
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; what they hold stays."""
        self._segments.close()

    def _move_to(self, offset: int) -> None:
        self._read_at = offset
        head = self._segments.all[0]
        if offset >= head.size:
            self._segments.drop(head)
            self._read_at = 0
