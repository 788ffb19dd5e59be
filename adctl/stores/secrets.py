"""The keys that sign tracking tokens and hash user ids: configured, or made once and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adctl.config_keys import parse_hex_key, parse_signing_keys
from adctl.stores.key_folder import KeyFolder

if TYPE_CHECKING:
    from adctl.config import Settings


@dataclass(frozen=True)
class Signing:
    """32-byte secrets, kept out of ``repr``."""

    keys: dict[int, bytes] = field(repr=False)
    """Key id → key, never empty: the first one signs, all verify."""
    user_key: bytes = field(repr=False)
    """What user ids are hashed with before anything is stored."""


def load_signing(settings: Settings) -> Signing:
    """Return the keys of ``settings``, or those of ``state_dir/secrets`` where none are given.

    Files that do not exist are made. Raises ConfigError if a file cannot be used.
    """
    folder = key_folder(settings)
    if not are_configured(settings):
        folder.make_missing()
    user_key = settings.signing.user_key.get_secret_value()
    return Signing(
        keys=read_signing_keys(settings),
        user_key=parse_hex_key(user_key) if user_key else folder.user_key(),
    )


def read_signing_keys(settings: Settings) -> dict[int, bytes]:
    """Return the signing keys as they are now, the one that signs first; makes none.

    Empty where none are kept either. Raises ConfigError if a file cannot be used.
    """
    if not are_configured(settings):
        return key_folder(settings).signing_keys()
    keys = parse_signing_keys(settings.signing.keys.get_secret_value())
    signs_with = settings.signing.signs_with or next(iter(keys))
    return {signs_with: keys[signs_with], **keys}


def are_configured(settings: Settings) -> bool:
    """Whether the signing keys stand in the configuration."""
    return bool(parse_signing_keys(settings.signing.keys.get_secret_value()))


def key_folder(settings: Settings) -> KeyFolder:
    """Return where keys are kept that are not configured."""
    return KeyFolder(settings.state_dir / "secrets")
