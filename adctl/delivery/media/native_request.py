"""The request for a native ad: a JSON document inside the bid request (OpenRTB Native 1.0 to 1.2).

Lenient where a bid does not depend on it; whatever cannot be understood is no request at all.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

# A request of many kilobytes is nobody's placement; the cache below keeps what it has read.
_LONGEST = 16_384
_KEPT = 256
_MOST_ASSETS = 50


class Title(msgspec.Struct, frozen=True):
    """Text of at most ``len`` characters."""

    len: int | None = None


class Image(msgspec.Struct, frozen=True):
    """Exactly ``w`` by ``h``, or at least ``wmin`` by ``hmin``. Type 1 is an icon, 3 the main."""

    type: int | None = None
    w: int | None = None
    h: int | None = None
    wmin: int | None = None
    hmin: int | None = None
    mimes: list[str] | None = None


class Data(msgspec.Struct, frozen=True):
    """A text of a kind (native.DATA_TYPES), of at most ``len`` characters."""

    type: int
    len: int | None = None


class Asset(msgspec.Struct, frozen=True):
    """One thing asked for; an asset that is a video or unknown has none of the three."""

    id: int | str
    required: int | None = None
    title: Title | None = None
    img: Image | None = None
    data: Data | None = None


class EventTracker(msgspec.Struct, frozen=True):
    """An event the publisher can report (1: impression), and how (1: an image)."""

    event: int
    methods: list[int] | None = None


class Markup(msgspec.Struct, frozen=True):
    """The request itself."""

    assets: list[Asset]
    ver: str | int | float | None = None
    eventtrackers: list[EventTracker] | None = None


class NativeRequest(msgspec.Struct, frozen=True):
    """A request that was understood. ``wrapped``: inside a ``native`` object, as 1.0 has it."""

    markup: Markup
    wrapped: bool


class _Wrapper(msgspec.Struct):
    native: Markup | None = None


_wrapper = msgspec.json.Decoder(_Wrapper)
_markup = msgspec.json.Decoder(Markup)


def read_native_request(text: str | None) -> NativeRequest | None:
    """Return the request in ``text``, or None if it is none that can be answered. Never raises."""
    if not text or len(text) > _LONGEST:
        return None
    return _read(text)


@lru_cache(maxsize=_KEPT)
def _read(text: str) -> NativeRequest | None:
    try:
        inside = _wrapper.decode(text).native
        markup = inside or _markup.decode(text)
    # msgspec's errors, and a lone surrogate's, are ValueErrors.
    except (ValueError, RecursionError):
        return None
    if not 0 < len(markup.assets) <= _MOST_ASSETS:
        return None
    return NativeRequest(markup, wrapped=inside is not None)
