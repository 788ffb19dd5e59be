"""Which folders and files of ours others may look into, and how to end that."""

from __future__ import annotations

import os
import shlex
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adctl.config import Settings
from adctl.config_faults import field_at, is_secret
from adctl.errors import AdctlError
from adctl.stores.embedded.account import is_elsewhere
from adctl.stores.embedded.state import load_record
from adctl.stores.endpoints import stack_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# Below state_dir, beside the stack's.
_FOLDERS = ("secrets", "spool", "journal", "metrics", "logs")
_PRIVATE = 0o700
# PostgreSQL, under an account of its own, has to get through to its data.
_PASSABLE = 0o711
_SECRET = 0o600


class Loose(NamedTuple):
    """What others may look into: the mode it has, and the one it should have."""

    path: Path
    mode: int
    wanted: int

    @property
    def command(self) -> str:
        """What to run."""
        return f"chmod {self.wanted:o} {shlex.quote(str(self.path))}"


def loose_modes(settings: Settings, config_file: Path | None) -> list[Loose]:
    """Return everything of ours that is open wider than it has to be. What is missing is not.

    Folders below ``state_dir`` with events, secrets, metrics and logs; the files with secrets; and
    the configuration if there are secrets in it.
    """
    return [
        Loose(path, mode, wanted)
        for path, wanted in _wanted(settings, config_file)
        if (mode := _mode(path)) is not None and mode & ~wanted & 0o077
    ]


def _wanted(settings: Settings, config_file: Path | None) -> Iterator[tuple[Path, int]]:
    state, stack = settings.state_dir, stack_folder(settings)
    folder = _PASSABLE if _postgres_passes(stack) else _PRIVATE
    yield state, folder
    yield stack, _PASSABLE if os.geteuid() == 0 else _PRIVATE
    for name in _FOLDERS:
        yield state / name, _PRIVATE
    yield from ((file, _SECRET) for file in sorted((state / "secrets").glob("*.hex")))
    yield stack / "stack.json", _SECRET
    if config_file is not None and _holds_secrets(config_file):
        # A group may be let in: that of the daemons' account.
        yield config_file, 0o640


def _postgres_passes(stack: Path) -> bool:
    """Whether an embedded PostgreSQL of another account has its data below the state folder."""
    data = stack / "pgdata"
    try:
        other = data.stat().st_uid != stack.stat().st_uid
        record = load_record(stack)
    except (OSError, AdctlError):
        return False
    return other and record is not None and not is_elsewhere(record.postgres.home)


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _holds_secrets(file: Path) -> bool:
    try:
        table = tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return any(_secret_keys(table, []))


def _secret_keys(table: Mapping[str, object], above: list[str]) -> Iterator[list[str]]:
    for key, value in table.items():
        path = [*above, key]
        if isinstance(value, dict):
            yield from _secret_keys(value, path)
        elif value and (field := field_at(Settings, path)) is not None and is_secret(field):
            yield path
