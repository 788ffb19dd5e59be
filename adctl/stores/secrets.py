"""The keys that sign tracking tokens and hash user ids: configured, or made once and kept."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adctl.config_keys import parse_signing_keys
from adctl.errors import ConfigError, Fault
from adctl.folders import make_private

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.config import Settings

_FIRST_KEY_ID = 1


@dataclass(frozen=True)
class Signing:
    """32-byte secrets, kept out of ``repr``."""

    keys: dict[int, bytes] = field(repr=False)
    """Key id → key, newest first: the first one signs, all verify."""
    user_key: bytes = field(repr=False)
    """What user ids are hashed with before anything is stored."""


def load_signing(settings: Settings) -> Signing:
    """Return the keys of ``settings``, or those of ``state_dir/secrets`` where none are given.

    Files that do not exist are made, readable by their owner alone. Programs that start at once
    agree on one key. To rotate, add ``signing-2.hex``: the highest number is the newest. Raises
    ConfigError if a file cannot be used.
    """
    folder = settings.state_dir / "secrets"
    configured = settings.signing.keys.get_secret_value()
    user_key = settings.signing.user_key.get_secret_value()
    return Signing(
        keys=parse_signing_keys(configured) or _kept_keys(folder),
        user_key=bytes.fromhex(user_key) or _kept_key(folder / "user.hex"),
    )


def _kept_keys(folder: Path) -> dict[int, bytes]:
    numbers = {
        int(number): file
        for file in folder.glob("signing-*.hex")
        if (number := file.stem.removeprefix("signing-")).isascii() and number.isdecimal()
    }
    numbers = numbers or {_FIRST_KEY_ID: folder / f"signing-{_FIRST_KEY_ID}.hex"}
    return {number: _kept_key(numbers[number]) for number in sorted(numbers, reverse=True)}


def _kept_key(file: Path) -> bytes:
    try:
        if not file.exists():
            _make_key(file)
        return parse_signing_keys(f"{_FIRST_KEY_ID}:{file.read_text().strip()}")[_FIRST_KEY_ID]
    except OSError as exc:
        fault = Fault("state_dir", str(file), f"a file that can be read and made ({exc.strerror})")
    except ValueError as exc:
        fault = Fault("state_dir", str(file), f"a file with {exc}")
    raise ConfigError("the kept secrets", [fault])


def _make_key(file: Path) -> None:
    make_private(file.parent)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32) + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        # A link appears with its content or not at all, and only for the first of several.
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
