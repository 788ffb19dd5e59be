"""Ads of every kind to offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adctl.delivery.tracking_urls import TrackingUrls
from adctl.models import (
    AudioMedia,
    CreativeKind,
    Media,
    MediaFile,
    NativeImage,
    NativeMedia,
    VideoMedia,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from adctl.models import Creative


@pytest.fixture(scope="session")
def urls() -> TrackingUrls:
    return TrackingUrls(
        nurl="https://t.example/notice/win?t=a",
        burl="https://t.example/notice/bill?t=a",
        lurl="https://t.example/notice/loss?t=a",
        impression="https://t.example/track/impression?t=a&p=${AUCTION_PRICE}",
        click="https://t.example/track/click?t=a",
    )


def mp4(width: int, height: int, bitrate_kbps: int, **changes: Any) -> MediaFile:
    return msgspec.structs.replace(
        MediaFile(
            f"https://cdn.example/{width}.mp4?a=1&b=2", "video/mp4", width, height, bitrate_kbps
        ),
        **changes,
    )


@pytest.fixture(scope="session")
def make_video(make_creative: Callable[..., Creative]) -> Callable[..., Creative]:
    """Make a video of 15 seconds in two renditions; other names are those of VideoMedia."""

    def make(*, attr: tuple[int, ...] = (), api: tuple[int, ...] = (), **changes: Any) -> Creative:
        files = (mp4(640, 360, 800), mp4(1280, 720, 2500))
        media = VideoMedia(**({"duration_sec": 15, "files": files} | changes))
        return make_creative(
            kind=CreativeKind.VIDEO,
            name="Shoes & <more>",
            attr=attr,
            media=Media(video=media, api=api),
        )

    return make


@pytest.fixture(scope="session")
def make_audio(make_creative: Callable[..., Creative]) -> Callable[..., Creative]:
    """Make an audio ad of 30 seconds."""

    def make(**changes: Any) -> Creative:
        files = (MediaFile("https://cdn.example/a.mp3", "audio/mpeg", bitrate_kbps=128),)
        media = AudioMedia(**({"duration_sec": 30, "files": files} | changes))
        return make_creative(kind=CreativeKind.AUDIO, media=Media(audio=media))

    return make


@pytest.fixture(scope="session")
def make_native(make_creative: Callable[..., Creative]) -> Callable[..., Creative]:
    """Make a native ad with titles and pictures of several sizes."""

    def make(*, attr: tuple[int, ...] = (), **changes: Any) -> Creative:
        media = NativeMedia(
            **(
                {
                    "titles": ("Shoes", "Spring shoes at half the price, this week only"),
                    "images": (
                        NativeImage("main", "https://cdn.example/m.jpg", "image/jpeg", 1200, 627),
                        NativeImage("main", "https://cdn.example/s.jpg", "image/jpeg", 600, 314),
                        NativeImage("icon", "https://cdn.example/i.png", "image/png", 80, 80),
                    ),
                    "data": {"sponsored": ("Acme",), "desc": ("Light.", "Light shoes for runs.")},
                }
                | changes
            )
        )
        return make_creative(kind=CreativeKind.NATIVE, attr=attr, media=Media(native=media))

    return make
