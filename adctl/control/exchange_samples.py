"""Bid requests of ours, one for each kind of ad, to try an exchange's settings with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from adctl.errors import Fault, FaultyInputError
from adctl.openrtb import MalformedRequestError, decode_request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from adctl.delivery.targeting import Format
    from adctl.openrtb import BidRequest

_PROTOCOLS = [2, 3, 5, 6, 7, 8, 11, 12, 13, 14]
_NATIVE = {
    "ver": "1.2",
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 90}},
        {"id": 2, "img": {"type": 3, "wmin": 1, "hmin": 1}},
        {"id": 3, "data": {"type": 1}},
    ],
    "eventtrackers": [{"event": 1, "methods": [1]}],
}
_USUAL_SIZES = [(300, 250), (320, 50), (728, 90)]
_MOST_DEALS = 20
_MOST_FAULTS = 20


def sample_requests(
    currency: str, seat: str, formats: Iterable[Format], deals: Iterable[str]
) -> dict[str, BidRequest]:
    """Return a request for each kind of ad by its name, and one for all ``deals`` if there are any.

    The banner may have any of the sizes among ``formats``. Nobody is named in them, so capped
    campaigns are decided on as without an identified user.
    """
    sizes = sorted({key for key in formats if len(key) == 2} | set(_USUAL_SIZES))
    banner = {"banner": {"format": [{"w": width, "h": height} for width, height in sizes]}}
    video = {
        "mimes": ["video/mp4", "video/webm", "application/vnd.apple.mpegurl"],
        "protocols": _PROTOCOLS,
        "maxduration": 60,
        "w": 1280,
        "h": 720,
        "skip": 1,
        "startdelay": 0,
        "plcmt": 1,
    }
    audio = {
        "mimes": ["audio/mpeg", "audio/mp4", "audio/ogg"],
        "protocols": _PROTOCOLS,
        "maxduration": 60,
        "startdelay": 0,
    }
    offers: dict[str, dict[str, Any]] = {
        "banner": banner,
        "video": {"video": video},
        "audio": {"audio": audio},
        "native": {"native": {"request": msgspec.json.encode(_NATIVE).decode(), "ver": "1.2"}},
    }
    if known := sorted(deals)[:_MOST_DEALS]:
        listed = [{"id": deal, "bidfloor": 0.01, "bidfloorcur": currency} for deal in known]
        everything = {name: part for offer in offers.values() for name, part in offer.items()}
        offers["deals"] = {**everything, "pmp": {"private_auction": 1, "deals": listed}}
    return {name: _request(name, offer, currency, seat) for name, offer in offers.items()}


def load_requests(path: Path) -> dict[str, BidRequest]:
    """Return the bid requests in a file by their names: one as JSON, or one on each line.

    Raises FaultyInputError with every line that is none.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        fault = Fault("--request", str(path), f"a readable file ({exc.strerror})")
        raise FaultyInputError("the requests", [fault]) from exc
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return {path.name: decode_request(content)}
    except MalformedRequestError as exc:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0]):
            fault = Fault("--request", str(path), f"a bid request ({exc})")
            raise FaultyInputError("the requests", [fault]) from exc
    found, faults = {}, []
    for number, line in enumerate(lines, 1):
        try:
            found[f"{path.name}:{number}"] = decode_request(line)
        except MalformedRequestError as exc:
            faults.append(Fault("--request", f"line {number}", f"a bid request ({exc})"))
    if faults:
        raise FaultyInputError("the requests", faults[:_MOST_FAULTS])
    return found


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _request(name: str, offer: dict[str, Any], currency: str, seat: str) -> BidRequest:
    return decode_request(
        msgspec.json.encode(
            {
                "id": f"sample-{name}",
                "imp": [{"id": "1", "secure": 1, **offer}],
                "site": {"domain": "publisher.example", "page": "https://publisher.example/"},
                "device": {"devicetype": 2, "language": "en", "geo": {"country": "USA"}},
                "wseat": [seat],
                "cur": [currency],
                "tmax": 1000,
            }
        )
    )
