"""Keys that are made once and kept as files: ``state_dir/secrets``.

``signing-N.hex`` is the signing key of that id, and ``signs_with`` says which of them signs: one
that is put beside the others verifies, and no more, until it is promoted. ``user.hex`` is what user
ids are hashed with. Several hosts may share the folder.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adctl.config_keys import MAX_KEY_ID, parse_hex_key
from adctl.errors import ConfigError, Fault
from adctl.folders import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIRST_KEY_ID = 1


class KeyFolder:
    """The folder. Its files are readable by their owner alone.

    Programs that start at once agree on what they make. Raises ConfigError for a file that cannot
    be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signs_with = path / "signs_with"

    def make_missing(self) -> None:
        """Make the first signing key, and the note of what signs, where there are none."""
        ids = self._ids()
        if not ids:
            _create(self._file(_FIRST_KEY_ID), secrets.token_hex(32))
            ids = self._ids()
        if not self._signs_with.exists():
            # A folder of earlier versions, where the highest number signs. One that only can be
            # read stays that way.
            with suppress(ConfigError):
                _create(self._signs_with, str(max(ids)))

    def signing_keys(self) -> dict[int, bytes]:
        """Return key id → key: first the one that signs, then the others, newest first."""
        ids = self._ids()
        if not ids:
            return {}
        signs_with = self._signing_id() or max(ids)
        if signs_with not in ids:
            expected = f"the id of a key in the folder ({', '.join(map(str, sorted(ids)))})"
            fault = Fault(str(self._signs_with), signs_with, expected)
            raise ConfigError("the kept secrets", [fault])
        order = sorted(ids, key=lambda key_id: (key_id == signs_with, key_id), reverse=True)
        return {key_id: self._read(self._file(key_id)) for key_id in order}

    def user_key(self) -> bytes:
        """Return the key that users are hashed with, made if it is not there."""
        file = self._path / "user.hex"
        with _files(file):
            missing = not file.exists()
        if missing:
            _create(file, secrets.token_hex(32))
        return self._read(file)

    def made_at(self, key_id: int) -> datetime | None:
        """Return when a signing key was made, None if there is none of that id."""
        try:
            return datetime.fromtimestamp(self._file(key_id).stat().st_mtime, UTC)
        except OSError:
            return None

    def add(self, key_id: int, key: bytes) -> None:
        """Put a signing key of that id beside the others; it verifies only."""
        self.make_missing()
        _create(self._file(key_id), key.hex())

    def promote(self, key_id: int) -> None:
        """Have this key sign from now on."""
        with _files(self._signs_with):
            draft = _draft(self._signs_with, str(key_id))
            draft.replace(self._signs_with)

    def remove(self, key_id: int) -> None:
        """Remove a signing key, if it is there."""
        file = self._file(key_id)
        with _files(file):
            file.unlink(missing_ok=True)

    def _ids(self) -> set[int]:
        names = (file.stem.removeprefix("signing-") for file in self._path.glob("signing-*.hex"))
        numbers = {int(name) for name in names if name.isascii() and name.isdecimal()}
        return {number for number in numbers if 0 < number <= MAX_KEY_ID}

    def _signing_id(self) -> int:
        with _files(self._signs_with):
            if not self._signs_with.exists():
                return 0
            text = self._signs_with.read_text(errors="replace").strip()
        if text.isascii() and text.isdecimal() and len(text) <= 3:
            return int(text)
        fault = Fault(str(self._signs_with), text[:8], "the id of the key that signs")
        raise ConfigError("the kept secrets", [fault])

    def _file(self, key_id: int) -> Path:
        return self._path / f"signing-{key_id}.hex"

    def _read(self, file: Path) -> bytes:
        with _files(file):
            text = file.read_text(errors="replace").strip()
        try:
            return parse_hex_key(text)
        except ValueError as exc:
            fault = Fault("state_dir", str(file), f"a file with {exc}")
            raise ConfigError("the kept secrets", [fault]) from exc


def _create(file: Path, text: str) -> None:
    """Make a file, unless it is there: whole or not at all, and by the first of several."""
    with _files(file):
        make_private(file.parent)
        draft = _draft(file, text)
        try:
            with suppress(FileExistsError):
                os.link(draft, file)
        finally:
            draft.unlink()


def _draft(file: Path, text: str) -> Path:
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    return draft


@contextmanager
def _files(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        fault = Fault("state_dir", str(file), f"a file that can be read and made ({exc.strerror})")
        raise ConfigError("the kept secrets", [fault]) from exc
