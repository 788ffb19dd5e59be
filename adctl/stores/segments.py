"""Files of events that one worker writes one after the other and takes away again: its segments.

``NAME.NUMBER.v1``, in a folder. None is written to again by another process, so that a crash leaves
at most one torn record, at the end of one file, that nobody was told of.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from adctl.errors import ConflictError
from adctl.folders import make_private
from adctl.stores.spool_records import VERSION, Portion, read_portion

_CHUNK_BYTES = 256 << 10
_LOOK_SEC = 0.02


class Segment(NamedTuple):
    """One file, and how much of it was written for certain."""

    path: Path
    size: int


class Segments:
    """The segments of one worker, oldest first; used from its thread only.

    What is ``synced`` is on disk when it has been written; else the operating system has it, which
    outlives every process, and puts it on disk when it can.
    """

    def __init__(
        self, folder: Path, name: str, segment_bytes: int, patience_sec: float, *, synced: bool
    ) -> None:
        """Take over what an earlier process left.

        Raises ConflictError where another process uses it, and still does after ``patience_sec``,
        or where another version has written it.
        """
        make_private(folder)
        self.folder, self.name = folder, name
        self._segment_bytes = segment_bytes
        self._synced = synced
        self._lock = _lock(folder / f"{name}.lock", patience_sec)
        self.all = _segments(folder, name)
        self._next_number = _number(self.all[-1].path) + 1 if self.all else 1
        self._writing: int | None = None
        # Bytes in all of them.
        self.size = sum(segment.size for segment in self.all)

    @property
    def open(self) -> Path | None:
        """The one that is being written, if any is."""
        return None if self._writing is None else self.all[-1].path

    def write(self, data: bytes) -> Path:
        """Append whole records; return the segment they are in.

        Raises OSError when they could not be written: then none of them is read again.
        """
        try:
            writing = self._writing
            if writing is None or self.all[-1].size >= self._segment_bytes:
                writing = self._begin()
            write_all(writing, data)
            if self._synced:
                os.fdatasync(writing)
        except OSError:
            # What is in the file after its known size is uncertain from here on: it must neither be
            # read nor written behind.
            self.seal()
            self._drop_tail()
            raise
        last = self.all[-1]
        self.all[-1] = last._replace(size=last.size + len(data))
        self.size += len(data)
        return last.path

    def seal(self) -> None:
        """Write no more to the one that is being written."""
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def read(self, segment: Segment, begin: int, limit: int) -> Portion:
        """Return at most ``limit`` of its events, from an offset on. Raises OSError."""
        left = segment.size - begin
        try:
            with segment.path.open("rb") as file:
                file.seek(begin)
                data = file.read(min(_CHUNK_BYTES, left))
        except FileNotFoundError:
            data = b""
        if not data:
            # Somebody has cut or removed it: what is missing cannot be had any more.
            return Portion(left, 1, (), ())
        return read_portion(data, limit, whole=len(data) == left)

    def drop(self, segment: Segment) -> None:
        """Remove one with everything in it."""
        if segment is self.all[-1]:
            self.seal()
        self.all.remove(segment)
        self.size -= segment.size
        segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; what they hold stays."""
        self.seal()
        os.close(self._lock)

    def _begin(self) -> int:
        self.seal()
        path = self.folder / f"{self.name}.{self._next_number:08d}.v{VERSION}"
        writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._writing = writing
        self._next_number += 1
        self.all.append(Segment(path, 0))
        if self._synced:
            _sync_folder(self.folder)
        return writing

    def _drop_tail(self) -> None:
        """Cut off what was not acknowledged; where the disk refuses even that, a replay takes it.

        That would be no harm: the event is true, and a repeat of it is recognised.
        """
        if not self.all:
            return
        last = self.all[-1]
        with suppress(OSError):
            os.truncate(last.path, last.size)
        if last.size == 0:
            self.all.pop()
            with suppress(OSError):
                last.path.unlink()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


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
