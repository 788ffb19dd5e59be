"""Folders that nobody but their owner may look into."""

from __future__ import annotations

import os
from errno import ENOTDIR
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o700


def make_private(folder: Path) -> None:
    """Make ``folder``, and those above it that are missing, for their owner alone.

    Whatever the umask, and never wider for a moment. One that exists stays as it is. Programs may
    call at once. Raises OSError.
    """
    if folder.is_dir():
        return
    make_private(folder.parent)
    try:
        folder.mkdir(mode=PRIVATE)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder)) from None
    else:
        # A umask may have taken from the owner, too.
        folder.chmod(PRIVATE)
