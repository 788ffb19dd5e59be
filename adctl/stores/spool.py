"""Events on disk while Redis is away: what has been answered is not lost, and is taken in order.

One file per worker, a JSON line an event, on disk (fdatasync) before the caller goes on. A line cut
short by a crash was never answered for, and is dropped.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import structlog

from adctl.delivery.tracking import TrackedEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger()


class Spool:
    """The spool of one worker; used from its thread only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(TrackedEvent).decode
        self._file = path.open("ab")
        self._drop_cut_line()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._file.tell() == 0

    def append(self, tracked: TrackedEvent) -> None:
        """Keep ``tracked``; it is on disk when this returns. Raises OSError when it cannot be."""
        start = self._file.tell()
        try:
            self._file.write(self._encode(tracked) + b"\n")
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError:
            # Half a line would make the next one unreadable.
            os.truncate(self._path, start)
            self._reopen()
            raise

    def replay(self, take: Callable[[TrackedEvent], object]) -> int:
        """Hand everything to ``take`` in order, then empty the spool; how many there were.

        What ``take`` raises passes through and leaves the spool as it was: taking an event again
        must be safe.
        """
        taken = 0
        for line in self._path.read_bytes().splitlines():
            take(self._decode(line))
            taken += 1
        os.truncate(self._path, 0)
        self._reopen()
        return taken

    def close(self) -> None:
        """Close the file; what it holds stays."""
        self._file.close()

    def _reopen(self) -> None:
        self._file.close()
        self._file = self._path.open("ab")

    def _drop_cut_line(self) -> None:
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            log.warning(
                "spool ended in half a line, which nobody was told of", path=str(self._path)
            )
            os.truncate(self._path, whole)
            self._reopen()
