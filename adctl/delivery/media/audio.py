"""Audio ads: where they may play [OpenRTB 2.6, 3.2.8], told of in VAST as video is.

DAAST, audio's own format, went into VAST 4.1; a request that takes nothing else gets no bid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery.media.linear import BidFields, fits_slot, playable_files, protocol_of
from adctl.delivery.media.vast import Spot, vast_document

if TYPE_CHECKING:
    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative
    from adctl.openrtb import Audio

_AUDIO = 3  # AdCOM creative markup types, as bid.mtype


def fits_audio(creative: Creative, audio: Audio, *, secure: bool) -> bool:
    """Return whether ``creative`` may play in ``audio``; False for any that is not audio.

    A request without ``mimes`` takes nothing: they are required.
    """
    media = creative.media.audio
    if media is None or not audio.mimes:
        return False
    return (
        fits_slot(creative, media, audio, secure=secure)
        and (not media.feed or audio.feed in media.feed)
        and bool(media.tag_url or playable_files(media.files, audio))
    )


def audio_markup(
    creative: Creative, audio: Audio, urls: TrackingUrls, bid_id: str, error_url: str = ""
) -> str:
    """Return the ``adm`` of an audio bid: VAST of the newest version asked for.

    Holds only the files that ``audio`` takes, and nothing unless fits_audio says that it fits.
    """
    media, protocol = creative.media.audio, audio_fields(creative, audio).protocol
    if media is None or protocol is None:
        return ""
    return vast_document(
        Spot(
            creative=creative,
            kind="audio",
            protocol=protocol,
            duration_sec=media.duration_sec,
            urls=urls,
            bid_id=bid_id,
            files=playable_files(media.files, audio),
            tag_url=media.tag_url,
            error_url=error_url,
        )
    )


def audio_fields(creative: Creative, audio: Audio) -> BidFields:
    """Return what the bid says beside the markup."""
    media = creative.media.audio
    if media is None:
        return BidFields(mtype=_AUDIO)
    return BidFields(
        mtype=_AUDIO,
        dur=media.duration_sec,
        protocol=protocol_of(media, audio),
        apis=creative.media.api,
        attr=creative.attr,
    )
