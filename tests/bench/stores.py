"""Stores of the bench's own, in a folder that is gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adctl.stores.embedded.stack import EmbeddedStack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.stores.endpoints import Endpoints


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="adctl-bench-"))
    # PostgreSQL's own account has to enter it.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def own_stores() -> Iterator[tuple[Endpoints, Path]]:
    """Run PostgreSQL, Valkey and the broker; where they are, and the folder they are in."""
    with own_folder() as folder:
        stack = EmbeddedStack(folder / "stack")
        try:
            stack.start(owned=True)
            yield stack.endpoints(), folder
        finally:
            stack.stop()
