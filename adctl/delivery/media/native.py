"""Native ads: assets that the publisher puts together (OpenRTB Native 1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.delivery.media.linear import BidFields
from adctl.delivery.media.mimes import asked_as
from adctl.delivery.media.native_request import read_native_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adctl.delivery.media.native_request import Asset, Image, Markup, NativeRequest
    from adctl.delivery.tracking_urls import TrackingUrls
    from adctl.models import Creative, NativeMedia
    from adctl.openrtb import Native

DATA_TYPES = {
    "sponsored": 1,
    "desc": 2,
    "rating": 3,
    "likes": 4,
    "downloads": 5,
    "price": 6,
    "saleprice": 7,
    "phone": 8,
    "address": 9,
    "desc2": 10,
    "displayurl": 11,
    "ctatext": 12,
}
"""The texts a native ad may have, by the specification's names (its list "Data Asset Types")."""

_NATIVE = 4  # AdCOM creative markup types, as bid.mtype
_NAMES = {number: name for name, number in DATA_TYPES.items()}
# A logo is the brand's mark, as an icon is the app's; since 1.2 there is no telling them apart.
_ROLES = {1: "icon", 2: "icon", 3: "main"}
_IMPRESSION = 1
_IMAGE = 1
_VERSIONS = ("1.0", "1", "1.1", "1.2")
_encoder = msgspec.json.Encoder()


def fits_native(creative: Creative, native: Native, *, secure: bool) -> bool:
    """Return whether ``creative`` has every asset that ``native`` requires, and any at all.

    False for any that is not native, and for a request that cannot be understood.
    """
    media, request = creative.media.native, read_native_request(native.request)
    if media is None or request is None:
        return False
    return (
        all(api in (native.api or ()) for api in creative.media.api)
        and not (native.battr and any(attr in native.battr for attr in creative.attr))
        and not (secure and any(image.url.startswith("http:") for image in media.images))
        and _answers(media, request.markup) is not None
    )


def native_markup(creative: Creative, native: Native, urls: TrackingUrls) -> str:
    """Return the ``adm`` of a native bid: the response as JSON, in the shape of the request.

    A click leads over our click URL. The impression is told to an event tracker where the request
    offers one, else to ``imptrackers``. Nothing unless fits_native says that it fits.
    """
    media, request = creative.media.native, read_native_request(native.request)
    answers = _answers(media, request.markup) if media and request else None
    if request is None or answers is None:
        return ""
    response: dict[str, object] = {"ver": _version(request, native)}
    response["assets"] = answers
    response["link"] = {"url": urls.click}
    if _tracks_impressions(request.markup):
        tracker = {"event": _IMPRESSION, "method": _IMAGE, "url": urls.impression}
        response["eventtrackers"] = [tracker]
    else:
        response["imptrackers"] = [urls.impression]
    return _encoder.encode({"native": response} if request.wrapped else response).decode()


def native_fields(creative: Creative) -> BidFields:
    """Return what the bid says beside the markup."""
    return BidFields(mtype=_NATIVE, apis=creative.media.api, attr=creative.attr)


def _answers(media: NativeMedia, markup: Markup) -> list[dict[str, object]] | None:
    """Return an answer to each asset that has one; None if a required one has none, or all."""
    answers = []
    for asset in markup.assets:
        answer = _answer(media, asset)
        if answer:
            answers.append(answer if asset.id is None else {"id": asset.id, **answer})
        elif asset.required:
            return None
    return answers or None


def _answer(media: NativeMedia, asset: Asset) -> dict[str, object] | None:
    if asset.title is not None:
        title = _longest(media.titles, asset.title.len)
        return {"title": {"text": title}} if title else None
    if asset.img is not None:
        return _image(media, asset.img)
    if asset.data is not None:
        texts = media.data.get(_NAMES.get(asset.data.type, ""), ())
        text = _longest(texts, asset.data.len)
        return {"data": {"value": text}} if text else None
    return None


def _longest(texts: Iterable[str], length: int | None) -> str | None:
    """Return the longest text that is not too long: a cut one would say something else."""
    fitting = [text for text in texts if not length or len(text) <= length]
    return max(fitting, key=len, default=None)


def _image(media: NativeMedia, asked: Image) -> dict[str, object] | None:
    # Without a type, a picture of the ad is meant.
    role = _ROLES.get(3 if asked.type is None else asked.type)
    fitting = [
        image
        for image in media.images
        if image.role == role
        and _side_fits(image.width, asked.w, asked.wmin)
        and _side_fits(image.height, asked.h, asked.hmin)
        and (not asked.mimes or asked_as(image.mime, asked.mimes) is not None)
    ]
    # The smallest that is large enough: the publisher scales it, the user downloads it.
    image = min(fitting, key=lambda image: image.width * image.height, default=None)
    if image is None:
        return None
    return {"img": {"url": image.url, "w": image.width, "h": image.height}}


def _side_fits(side: int, exact: int | None, least: int | None) -> bool:
    # A least side makes the exact one a wish [native 4.4]; 0 asks for nothing.
    if least is not None:
        return side >= least
    return not exact or side == exact


def _tracks_impressions(markup: Markup) -> bool:
    return any(
        tracker.event == _IMPRESSION and _IMAGE in (tracker.methods or ())
        for tracker in markup.eventtrackers or ()
    )


def _version(request: NativeRequest, native: Native) -> str:
    asked = str(request.markup.ver or native.ver or "")
    return asked if asked in _VERSIONS else "1.2"
