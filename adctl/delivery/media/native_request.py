"""The request for a native ad: a JSON document inside the bid request (OpenRTB Native 1.0 to 1.2).

Values of another type than their attribute's are read leniently, as in the bid request around it.
An asset that cannot be read is one that cannot be answered; whatever else cannot be understood is
no request at all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from adctl.openrtb.lenient import DROPPED, REFUSED, STRICT, Rule, Shape, decode_any
from adctl.openrtb.request import Flag
from adctl.openrtb.scalars import Found, UnreadableError

if TYPE_CHECKING:
    from adctl.openrtb.lenient import Rules

# A request of many kilobytes is nobody's placement; the cache below keeps what it has read.
_LONGEST = 16_384
_KEPT = 256
_MOST_ASSETS = 50


class Title(msgspec.Struct, frozen=True):
    """Text of at most ``len`` characters."""

    len: int | None = None


class Image(msgspec.Struct, frozen=True):
    """Exactly ``w`` by ``h``, or at least ``wmin`` by ``hmin``.

    Type 1 is an icon, 2 a logo (until 1.1), 3 the main picture.
    """

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
    """One thing asked for; an asset that is a video or unknown has none of the three.

    Without an ``id`` it is answered without one.
    """

    id: int | str | None = None
    required: Flag | None = None
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


_DROP, _REFUSE = Rule(DROPPED), Rule(REFUSED)
# An asset of which these cannot be read asks for something, but it is not known what.
_OF_ASSETS = dict.fromkeys(("title", "img", "data"), _DROP)

RULES: Rules = {
    Title: {"len": _REFUSE},
    Image: dict.fromkeys(("type", "w", "h", "wmin", "hmin", "mimes"), _REFUSE),
    Data: {"type": _REFUSE, "len": _REFUSE},
    Asset: {"id": _REFUSE, "required": Rule(STRICT, 1), **_OF_ASSETS},
    EventTracker: {"event": _REFUSE, "methods": _REFUSE},
    Markup: {"assets": _REFUSE, "ver": _DROP, "eventtrackers": Rule(DROPPED, each=True)},
}
"""What becomes of an attribute that cannot be read, by struct and attribute."""

_wrapper = msgspec.json.Decoder(_Wrapper)
_markup = msgspec.json.Decoder(Markup)
_shape = Shape(Markup, RULES)


def read_native_request(text: str | None) -> NativeRequest | None:
    """Return the request in ``text``, or None if it is none that can be answered. Never raises."""
    if not text or len(text) > _LONGEST:
        return None
    return _read(text)


@lru_cache(maxsize=_KEPT)
def _read(text: str) -> NativeRequest | None:
    try:
        request = _decoded(text)
    # msgspec's errors, and a lone surrogate's, are ValueErrors.
    except (ValueError, RecursionError, UnreadableError):
        return None
    return request if 0 < len(request.markup.assets) <= _MOST_ASSETS else None


def _decoded(text: str) -> NativeRequest:
    try:
        inside = _wrapper.decode(text).native
        return NativeRequest(inside or _markup.decode(text), wrapped=inside is not None)
    except msgspec.ValidationError:
        raw = decode_any(text)
        inner = raw.get("native") if type(raw) is dict else None
        return NativeRequest(_shape.read(inner or raw, Found()), wrapped=bool(inner))
