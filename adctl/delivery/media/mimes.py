"""Media types, and the other names that requests give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# In wide use, though none is registered.
_REGISTERED = {
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/wav": "audio/vnd.wave",
    "audio/x-wav": "audio/vnd.wave",
    "image/jpg": "image/jpeg",
    "application/x-mpegurl": "application/vnd.apple.mpegurl",
    "application/mpegurl": "application/vnd.apple.mpegurl",
}


def registered(mime: str) -> str:
    """Return the registered name of a media type, in lower case."""
    name = mime.strip().lower()
    return _REGISTERED.get(name, name)


def asked_as(mime: str, asked: Collection[str]) -> str | None:
    """Return the name in ``asked`` that means ``mime`` (registered), or None if none does.

    A bid answers in the request's own word for it, which is what it is compared with.
    """
    if mime in asked:
        return mime
    return next((name for name in asked if registered(name) == mime), None)
