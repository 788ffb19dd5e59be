"""Events on disk while Redis is away: what has been answered is not lost, and is taken in order.

One spool per worker: files ``NAME.NUMBER.v1``, written one after the other and deleted when
everything in them has been taken. None is written to again by another process, so that a crash
leaves at most one torn record, at the end of one file, that nobody was told of.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from adctl.errors import ConflictError
from adctl.stores.spool_records import (
    MAX_RECORD_BYTES,
    VERSION,
    Portion,
    encode_record,
    read_portion,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.delivery.tracking import TrackedEvent

log = structlog.get_logger()

SEGMENT_BYTES = 4 << 20
_CHUNK_BYTES = 256 << 10
_LOOK_SEC = 0.02


class Segment(NamedTuple):
    """One file, and how much of it is on disk for certain."""

    path: Path
    size: int


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
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // 4)
        self._lock = _lock(folder / f"{name}.lock", patience_sec)
        self._segments = _segments(folder, name)
        self._next_number = _number(self._segments[-1].path) + 1 if self._segments else 1
        self._writing: int | None = None
        self._read_at = 0
        self._portion: Portion | None = None
        self.damaged = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._segments

    @property
    def size(self) -> int:
        """Bytes on disk; those of events that have been taken go file by file."""
        return sum(segment.size for segment in self._segments)

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
            self._write(b"".join(records))
        return len(records)

    def peek(self, limit: int) -> tuple[TrackedEvent, ...]:
        """Return the oldest events that wait, at most ``limit``; none only if the spool is empty.

        Damaged records on the way are left behind, and counted in ``damaged``. Raises OSError.
        """
        while self._segments:
            portion = self._read(limit)
            self.damaged += portion.damaged
            if portion.damaged:
                path = str(self._segments[0].path)
                log.error("damaged events in the spool", places=portion.damaged, path=path)
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
        path = self._folder / f".{self._name}.probe"
        try:
            probing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                _write_all(probing, bytes(MAX_RECORD_BYTES))
                os.fdatasync(probing)
            finally:
                os.close(probing)
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; what they hold stays."""
        self._seal()
        os.close(self._lock)

    def _write(self, data: bytes) -> None:
        try:
            writing = self._writing
            if writing is None or self._segments[-1].size >= self._segment_bytes:
                writing = self._begin_segment()
            _write_all(writing, data)
            os.fdatasync(writing)
        except OSError:
            # What is in the file after its known size is uncertain from here on: it must neither be
            # read nor written behind.
            self._seal()
            self._drop_tail()
            raise
        last = self._segments[-1]
        self._segments[-1] = last._replace(size=last.size + len(data))

    def _begin_segment(self) -> int:
        self._seal()
        path = self._folder / f"{self._name}.{self._next_number:08d}.v{VERSION}"
        writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._writing = writing
        self._next_number += 1
        self._segments.append(Segment(path, 0))
        _sync_folder(self._folder)
        return writing

    def _seal(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def _drop_tail(self) -> None:
        """Cut off what was not acknowledged; where the disk refuses even that, a replay takes it.

        That would be no harm: the event is true, and a repeat of it is recognised.
        """
        if not self._segments:
            return
        last = self._segments[-1]
        with suppress(OSError):
            os.truncate(last.path, last.size)
        if last.size == 0:
            self._segments.pop()
            with suppress(OSError):
                last.path.unlink()

    def _read(self, limit: int) -> Portion:
        head = self._segments[0]
        left = head.size - self._read_at
        try:
            with head.path.open("rb") as file:
                file.seek(self._read_at)
                data = file.read(min(_CHUNK_BYTES, left))
        except FileNotFoundError:
            data = b""
        if not data:
            # Somebody has cut or removed it: what is missing cannot be had any more.
            return Portion(left, 1, (), ())
        return read_portion(data, limit, whole=len(data) == left)

    def _move_to(self, offset: int) -> None:
        self._read_at = offset
        head = self._segments[0]
        if offset < head.size:
            return
        if len(self._segments) == 1:
            self._seal()
        self._segments.pop(0)
        self._read_at = 0
        head.path.unlink(missing_ok=True)


def _lock(path: Path, patience_sec: float) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_sec
    while not _locked(lock):
        if time.monotonic() >= deadline:
            os.close(lock)
            raise ConflictError(f"another process uses the spool {path.with_suffix('')}")
        time.sleep(_LOOK_SEC)
    return lock


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _segments(folder: Path, name: str) -> list[Segment]:
    ours = re.compile(rf"{re.escape(name)}\.[0-9]{{8,}}\.v{VERSION}")
    found = sorted(path for path in folder.glob(f"{name}.*") if path.suffix != ".lock")
    if foreign := [str(path) for path in found if not ours.fullmatch(path.name)]:
        raise ConflictError(
            f"{', '.join(foreign)}: events spooled by another version of adctl; "
            "start that version until the file is gone"
        )
    segments = [Segment(path, path.stat().st_size) for path in sorted(found, key=_number)]
    for segment in segments:
        if not segment.size:
            segment.path.unlink()
    return [segment for segment in segments if segment.size]


def _number(path: Path) -> int:
    return int(path.name.split(".")[-2])


def _sync_folder(folder: Path) -> None:
    """See to it that a new file is found again after a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
