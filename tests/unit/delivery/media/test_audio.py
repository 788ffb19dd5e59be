from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from adctl.delivery.media.audio import audio_fields, audio_markup, fits_audio
from adctl.openrtb import Audio

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative

    Make = Callable[..., Creative]


def offer(**fields: Any) -> Audio:
    return Audio(**({"mimes": ["audio/mpeg"], "protocols": [11]} | fields))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"protocols": None},
        {"protocols": [9, 3]},
        {"mimes": ["audio/mp3"]},
        {"minduration": 5, "maxduration": 30},
        {"rqddurs": [15, 30]},
        {"feed": 2},
    ],
)
def test_audio_fits(make_audio: Make, asked: dict[str, Any]) -> None:
    assert fits_audio(make_audio(), offer(**asked), secure=True)


@pytest.mark.parametrize(
    "asked",
    [
        {"mimes": ["audio/ogg"]},
        {"mimes": None},
        {"protocols": [9, 10]},
        {"maxduration": 29},
        {"rqddurs": [15]},
        {"minbitrate": 300},
        {"delivery": [1]},
    ],
)
def test_audio_does_not_fit(make_audio: Make, asked: dict[str, Any]) -> None:
    assert not fits_audio(make_audio(), offer(**asked), secure=False)


def test_video_never_fits_audio(make_video: Make) -> None:
    assert not fits_audio(make_video(), offer(), secure=False)


def test_podcast_ad_runs_in_podcasts_only(make_audio: Make) -> None:
    podcast = make_audio(feed=(3,), breaks=("mid",))
    assert fits_audio(podcast, offer(feed=3, startdelay=-1), secure=True)
    assert not fits_audio(podcast, offer(feed=1, startdelay=-1), secure=True)
    assert not fits_audio(podcast, offer(feed=3, startdelay=0), secure=True)


def test_markup_says_that_it_is_audio(make_audio: Make, urls: TrackingUrls) -> None:
    markup = audio_markup(make_audio(), offer(mimes=["audio/mp3"]), urls, "bid-1")
    root = etree.fromstring(markup)
    assert root.find("Ad").get("adType") == "audio"
    file = root.find(".//MediaFile")
    assert (file.get("type"), file.get("width"), file.get("height")) == ("audio/mp3", "0", "0")
    assert root.findtext(".//Impression") == urls.impression
    assert root.findtext(".//Duration") == "00:00:30"


def test_bid_tells_duration_and_protocol(make_audio: Make) -> None:
    fields = audio_fields(make_audio(), offer())
    assert (fields.mtype, fields.dur, fields.protocol, fields.w) == (3, 30, 11, None)
