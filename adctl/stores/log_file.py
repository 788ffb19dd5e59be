"""A daemon's log as a file that several processes append to, and that never grows beyond its size.

``adctl up`` opens it for a daemon, whose workers inherit it as their output. When it is full,
whichever process sees that first puts it aside as ``.1``, in place of the one before; the others
follow when they next look. Until then they write to the file that was put aside: no line is lost.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

MAX_LOG_BYTES = 4 << 20
LOG_VARIABLE = "ADCTL_LOG_FILE"
"""Names the log to a daemon whose output it is; a log that somebody else opened is theirs."""

_OUTPUTS = (1, 2)


def put_aside(log: Path) -> Path:
    """Return the name of a log that is full."""
    return log.with_name(f"{log.name}.1")


def tend_log(max_bytes: int = MAX_LOG_BYTES) -> None:
    """Go on in a new log if this process' is full, or has been put aside by another.

    Nothing happens without LOG_VARIABLE, nor where the file system refuses: the log then grows on.
    """
    name = os.environ.get(LOG_VARIABLE)
    if name:
        with suppress(OSError):
            _tend(Path(name), max_bytes)


def _tend(log: Path, max_bytes: int) -> None:
    now = _stat(log)
    ours = [output for output in _OUTPUTS if _is_file(output)]
    current = all(now and os.path.samestat(os.fstat(output), now) for output in ours)
    if not ours or (current and now and now.st_size <= max_bytes):
        return
    folder = os.open(log.parent, os.O_RDONLY)
    try:
        # Of two that see it full only the first puts it aside: the second would lose what is there.
        fcntl.flock(folder, fcntl.LOCK_EX)
        now = _stat(log)
        if now and now.st_size > max_bytes:
            log.replace(put_aside(log))
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    finally:
        os.close(folder)
    try:
        for output in ours:
            os.dup2(opened, output)
    finally:
        os.close(opened)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_file(output: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(output).st_mode)
    except OSError:
        return False
