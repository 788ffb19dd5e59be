"""What video and audio ads have in common: they take time, and are told of in VAST."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from adctl.delivery.media.mimes import asked_as
from adctl.delivery.media.vast import INLINE_PROTOCOLS, WRAPPER_PROTOCOLS
from adctl.money import floor_to_micros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.models import AudioMedia, Creative, MediaFile, VideoMedia
    from adctl.openrtb import Audio, Deal, Video

# AdCOM list "Delivery Methods" by how a file is delivered.
_DELIVERY = {"streaming": frozenset({1}), "progressive": frozenset({2, 3})}
# What is spoken where a request does not say: VAST 4.0.
_USUAL_INLINE = 7
_USUAL_WRAPPER = 8
_MAX_LISTED = 200


class BidFields(msgspec.Struct, frozen=True):
    """What a bid tells about its ad beside the markup, named as in OpenRTB 4.2.3; None: nothing."""

    mtype: int
    w: int | None = None
    h: int | None = None
    dur: int | None = None
    protocol: int | None = None
    apis: tuple[int, ...] = ()
    attr: tuple[int, ...] = ()


def fits_slot(
    creative: Creative, media: VideoMedia | AudioMedia, slot: Video | Audio, *, secure: bool
) -> bool:
    """Return whether the ad's duration, protocol, API, attributes and break suit ``slot``."""
    return (
        fits_duration(media.duration_sec, slot)
        and protocol_of(media, slot) is not None
        and all(api in (slot.api or ()) for api in creative.media.api)
        and not (slot.battr and any(attr in slot.battr for attr in creative.attr))
        and (not media.breaks or break_of(slot.startdelay) in media.breaks)
        and not (secure and any(url.startswith("http:") for url in _addresses(media)))
    )


def fits_duration(duration_sec: int, slot: Video | Audio) -> bool:
    """Return whether an ad of that length may run: it is one of those asked for, and in the range.

    A request must not say both [3.2.7]; where one does, what meets both is right either way.
    """
    if slot.rqddurs and duration_sec not in slot.rqddurs:
        return False
    if slot.minduration is not None and duration_sec < slot.minduration:
        return False
    if slot.poddur is not None and slot.poddur > 0 and duration_sec > slot.poddur:
        return False
    extension = slot.maxextended or 0
    # -1 sets no limit to the extension.
    if slot.maxduration is None or extension < 0:
        return True
    return duration_sec <= slot.maxduration + extension


def protocol_of(media: VideoMedia | AudioMedia, slot: Video | Audio) -> int | None:
    """Return AdCOM's number of the newest VAST that both sides speak, or None."""
    ours = WRAPPER_PROTOCOLS if media.tag_url else INLINE_PROTOCOLS
    asked = slot.protocols or [getattr(slot, "protocol", None) or 0]
    if asked == [0]:
        return _USUAL_WRAPPER if media.tag_url else _USUAL_INLINE
    return next((protocol for protocol in ours if protocol in asked), None)


def playable_files(files: Sequence[MediaFile], slot: Video | Audio) -> list[tuple[MediaFile, str]]:
    """Return the files ``slot`` takes, each with the request's own word for its type."""
    asked = (slot.mimes or [])[:_MAX_LISTED]
    found = ((file, asked_as(file.mime, asked)) for file in files)
    return [(file, mime) for file, mime in found if mime is not None and _deliverable(file, slot)]


def break_of(startdelay: float | None) -> Literal["pre", "mid", "post"] | None:
    """Return which break a start delay means: 0 pre-roll, above or -1 mid-roll, -2 post-roll."""
    if startdelay is None or startdelay < -2:
        return None
    if startdelay == 0:
        return "pre"
    return "post" if startdelay == -2 else "mid"


def floor_micros_of(slot: Video | Audio, duration_sec: int, bidfloor_micros: int) -> int:
    """Return the floor for an ad of that length, a CPM in the currency of the impression's floor.

    ``bidfloor_micros`` is that floor; a range of ``durfloors`` that covers the length replaces it.
    ``mincpmpersec`` holds beside either.
    """
    ranged = range_floor_micros(slot, duration_sec)
    floor_micros = bidfloor_micros if ranged is None else ranged
    return max(floor_micros, per_second_floor_micros(slot, duration_sec))


def range_floor_micros(slot: Video | Audio | Deal, duration_sec: int) -> int | None:
    """Return the floor of the range of ``durfloors`` that covers a length, None if there is none.

    The dearest where several do.
    """
    ranged = [
        max(0, floor_to_micros(floor.bidfloor))
        for floor in slot.durfloors or ()
        if floor.bidfloor is not None
        and (floor.mindur is not None or floor.maxdur is not None)
        and (floor.mindur is None or floor.mindur <= duration_sec)
        and (floor.maxdur is None or duration_sec <= floor.maxdur)
    ]
    return max(ranged, default=None)


def per_second_floor_micros(slot: Video | Audio | Deal, duration_sec: int) -> int:
    """Return what ``mincpmpersec`` asks for an ad of that length."""
    per_second = slot.mincpmpersec
    if per_second is None or per_second <= 0:
        return 0
    # A price of a million digits is above any bid; multiplying it would overflow.
    huge = not per_second.is_finite() or per_second.adjusted() > 30
    asked = per_second if huge else per_second * Decimal(duration_sec)
    return floor_to_micros(asked)


def _deliverable(file: MediaFile, slot: Video | Audio) -> bool:
    if slot.delivery and _DELIVERY[file.delivery].isdisjoint(slot.delivery):
        return False
    rate = file.bitrate_kbps
    # An adaptive stream finds its own rate.
    return not rate or (slot.minbitrate or 0) <= rate <= (slot.maxbitrate or rate)


def _addresses(media: VideoMedia | AudioMedia) -> list[str]:
    return [media.tag_url, *(file.url for file in media.files)]
