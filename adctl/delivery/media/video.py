"""Video ads: where they may play [OpenRTB 2.6, 3.2.7], and what is sent to have them played."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery.media.linear import BidFields, fits_slot, playable_files, protocol_of
from adctl.delivery.media.vast import INLINE_PROTOCOLS, Spot, vast_document

if TYPE_CHECKING:
    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative, MediaFile, VideoMedia
    from adctl.openrtb import Video

_VIDEO = 2  # AdCOM creative markup types, as bid.mtype
_SKIPPABLE = 16  # AdCOM creative attributes
_LINEAR = 1
# AdCOM's placements, which plcmt has superseded, as the plcmt they have become.
_PLCMT_OF = {1: 1, 2: 4, 3: 4, 4: 4, 5: 3}
# Where bars around the picture are not allowed, shapes may differ by a rounding.
_SHAPE_TOLERANCE = 0.02


def fits_video(creative: Creative, video: Video, *, secure: bool) -> bool:
    """Return whether ``creative`` may play in ``video``; False for any that is not a video.

    A request without ``mimes`` takes nothing: they are required.
    """
    media = creative.media.video
    if media is None or not video.mimes or (video.linearity or _LINEAR) != _LINEAR:
        return False
    return (
        fits_slot(creative, media, video, secure=secure)
        and (not media.plcmt or _plcmt(video) in media.plcmt)
        and _playback_suits(media, video)
        and bool(media.tag_url or _renditions(media, video))
    )


def video_markup(
    creative: Creative, video: Video, urls: TrackingUrls, bid_id: str, error_url: str = ""
) -> str:
    """Return the ``adm`` of a video bid: VAST of the newest version asked for.

    Holds only the files that ``video`` takes, and nothing unless fits_video says that it fits.
    """
    media, protocol = creative.media.video, video_fields(creative, video).protocol
    if media is None or protocol is None:
        return ""
    return vast_document(
        Spot(
            creative=creative,
            kind="video",
            protocol=protocol,
            duration_sec=media.duration_sec,
            urls=urls,
            bid_id=bid_id,
            files=_renditions(media, video),
            tag_url=media.tag_url,
            skip_after_sec=_skip_after_sec(media, video, protocol),
            error_url=error_url,
        )
    )


def video_fields(creative: Creative, video: Video) -> BidFields:
    """Return what the bid says beside the markup. A skippable ad says so in ``attr``."""
    media = creative.media.video
    protocol = protocol_of(media, video) if media else None
    if media is None or protocol is None:
        return BidFields(mtype=_VIDEO)
    width, height = _shown_size(creative, media, video)
    skippable = _skip_after_sec(media, video, protocol) is not None
    attr = {*creative.attr, _SKIPPABLE} if skippable else creative.attr
    return BidFields(
        mtype=_VIDEO,
        w=width or None,
        h=height or None,
        dur=media.duration_sec,
        protocol=protocol,
        apis=creative.media.api,
        attr=tuple(sorted(attr)),
    )


def _renditions(media: VideoMedia, video: Video) -> list[tuple[MediaFile, str]]:
    files = playable_files(media.files, video)
    if video.boxingallowed == 0 and video.w and video.h:
        shape = video.w / video.h
        files = [
            (file, mime)
            for file, mime in files
            if file.height and abs(file.width / file.height / shape - 1) <= _SHAPE_TOLERANCE
        ]
    return files


def _shown_size(creative: Creative, media: VideoMedia, video: Video) -> tuple[int, int]:
    """Return the size of the rendition nearest to the player's; a tag's is what was declared."""
    sizes = [(file.width, file.height) for file, _ in _renditions(media, video) if file.width]
    wanted = video.w or max((width for width, _ in sizes), default=0)
    nearest = min(sizes, key=lambda size: abs(size[0] - wanted), default=None)
    return nearest or (creative.width, creative.height)


def _skip_after_sec(media: VideoMedia, video: Video, protocol: int) -> int | None:
    """Return after how many seconds the ad offers to be skipped; None if it does not offer it.

    An ad can always do without: it runs unskippable where skipping is refused [3.2.7: skip,
    skipmin, skipafter], or where its VAST is too old to speak of it.
    """
    offered = media.skip_after_sec
    speaks = INLINE_PROTOCOLS.get(protocol, (0, 0)) >= (3, 0)
    if offered is None or not speaks or video.skip == 0 or _SKIPPABLE in (video.battr or ()):
        return None
    after = max(offered, int(video.skipafter or 0))
    if media.duration_sec <= (video.skipmin or 0) or after >= media.duration_sec:
        return None
    return after


def _plcmt(video: Video) -> int | None:
    return video.plcmt or _PLCMT_OF.get(video.placement or 0)


def _playback_suits(media: VideoMedia, video: Video) -> bool:
    if not media.playbackmethod:
        return True
    # Only the first one listed is what will be used, if several are [3.2.7].
    return bool(video.playbackmethod) and (video.playbackmethod or [0])[0] in media.playbackmethod
