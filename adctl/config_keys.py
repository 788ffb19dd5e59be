"""Keys as people write them in the configuration."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from adctl.config_section import Section

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_BYTES = 32
MAX_KEY_ID = 255
"""A token has one byte for the id of its key."""


def parse_signing_keys(text: str) -> dict[int, bytes]:
    """Return key id → 32-byte secret from ``"2:<hex>,1:<hex>"``, in that order.

    Raises ValueError saying what would be right.
    """
    keys: dict[int, bytes] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        number, _, secret = part.partition(":")
        if not (number.isascii() and number.isdecimal()) or not 0 < int(number) <= MAX_KEY_ID:
            raise ValueError("each key as ID:SECRET, with an ID of 1 to 255")
        if int(number) in keys:
            raise ValueError(f"each ID once; {number} stands there twice")
        keys[int(number)] = parse_hex_key(secret)
    return keys


def parse_price_keys(text: str) -> tuple[bytes, bytes]:
    """Return the encryption and the integrity key from ``ENCRYPTION:INTEGRITY``, each in base64.

    Raises ValueError saying what would be right.
    """
    parts = text.replace("+", "-").replace("/", "_").split(":")
    try:
        keys = [urlsafe_b64decode(part) for part in parts]
    except ValueError:
        keys = []
    if len(keys) != 2 or not all(len(key) == 32 for key in keys):
        raise ValueError("ENCRYPTION:INTEGRITY, two keys of 32 bytes, each in base64")
    return keys[0], keys[1]


def parse_hex_key(text: str) -> bytes:
    """Return a key of 32 bytes. Raises ValueError saying what would be right."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("32 bytes as 64 hexadecimal digits")
    return key


class SigningSettings(Section):
    """``[signing]``. Empty keys are filled from the state folder by adctl.stores.secrets."""

    keys: SecretStr = SecretStr("")
    signs_with: Annotated[int, Field(ge=0, le=MAX_KEY_ID)] = 0
    user_key: SecretStr = SecretStr("")

    @field_validator("keys")
    @classmethod
    def _keys_are_id_and_hex(cls, keys: SecretStr) -> SecretStr:
        parse_signing_keys(keys.get_secret_value())
        return keys

    # Of the one field, so that a fault shows the number and none of the keys.
    @field_validator("signs_with")
    @classmethod
    def _what_signs_is_a_key(cls, key_id: int, told: ValidationInfo) -> int:
        keys = told.data.get("keys")
        if key_id and isinstance(keys, SecretStr):
            ids = parse_signing_keys(keys.get_secret_value())
            if not ids:
                raise ValueError(
                    "0 where signing.keys is empty: `adctl key promote` says which kept key signs"
                )
            if key_id not in ids:
                raise ValueError(f"0, or the ID of a key in signing.keys ({_listed(ids)})")
        return key_id

    @field_validator("user_key")
    @classmethod
    def _user_key_is_hex(cls, key: SecretStr) -> SecretStr:
        if key.get_secret_value():
            parse_hex_key(key.get_secret_value())
        return key


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(ids)))
