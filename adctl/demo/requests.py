"""Bid requests as exchanges of different habits write them, and some that no exchange should."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.demo.people import APPS, SITES
from adctl.money import floor_to_micros

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from adctl.demo.people import Person, Property

    Json = dict[str, Any]

TMAX_MS = 300
_FLOORS = ("0.10", "0.25", "0.5", "0.80", "1.20", "2.0", "2.75", "4")
_DESKTOP_SIZES = ((300, 250), (728, 90), (160, 600), (970, 250))
_MOBILE_SIZES = ((320, 50), (300, 250), (320, 480))
_DESKTOP, _TABLET = 2, 5
_MALFORMED_SHARE = 0.02


class Offer(msgspec.Struct, frozen=True):
    """One request as it goes out. ``floors_micros`` by imp id; none of a malformed request.

    What is bid on a ``test`` is not auctioned.
    """

    body: bytes
    floors_micros: Mapping[str, int]
    well_formed: bool = True
    test: bool = False


class RequestMaker:
    """Makes requests of ``people``; reproducible for one ``rng``. For one thread."""

    def __init__(self, people: Sequence[Person], rng: random.Random) -> None:
        self._people = people
        self._rng = rng
        self._made = 0
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self._shapes = [shape for shape, _ in _SHAPES]
        self._weights = [weight for _, weight in _SHAPES]

    def make(self) -> Offer:
        """Return the next request."""
        self._made += 1
        person = self._rng.choice(self._people)
        shape = self._rng.choices(self._shapes, self._weights)[0]
        request = self._request(person)
        shape(request, self._rng)
        body = self._encode(request)
        if self._rng.random() < _MALFORMED_SHARE:
            return Offer(_break(body, self._rng), {}, well_formed=False)
        floors_micros = {imp["id"]: _floor_micros(imp) for imp in request["imp"]}
        return Offer(body, floors_micros, test="test" in request)

    def _request(self, person: Person) -> Json:
        rng = self._rng
        mobile = person.gadget.devicetype != _DESKTOP
        where = rng.choice(APPS if mobile and rng.random() < 0.5 else SITES)
        return {
            "id": f"{rng.getrandbits(64):016x}-{self._made}",
            "at": 2,
            "tmax": TMAX_MS,
            "cur": ["USD"],
            "imp": [_banner_imp("1", person.gadget.devicetype, rng)],
            where.kind: _property(where, rng),
            "device": _device(person, in_app=where.kind == "app"),
            "user": _user(person),
            "source": {"tid": f"{rng.getrandbits(128):032x}"},
        } | _regulations(person, rng)


def _banner_imp(imp_id: str, devicetype: int, rng: random.Random) -> Json:
    sizes = _DESKTOP_SIZES if devicetype in (_DESKTOP, _TABLET) else _MOBILE_SIZES
    chosen = rng.sample(sizes, rng.randrange(1, 3))
    banner: Json = {"pos": rng.randrange(1, 4)}
    if rng.random() < 0.7:
        banner["format"] = [{"w": w, "h": h} for w, h in chosen]
    else:
        banner["w"], banner["h"] = chosen[0]
    imp: Json = {"id": imp_id, "banner": banner, "tagid": f"slot-{rng.randrange(40)}"}
    imp["secure"] = int(rng.random() < 0.8)
    if rng.random() < 0.8:
        imp["bidfloor"] = Decimal(rng.choice(_FLOORS))
        imp["bidfloorcur"] = "USD"
    return imp


def _video(rng: random.Random) -> Json:
    return {
        "mimes": ["video/mp4", "video/webm"],
        "minduration": 5,
        "maxduration": rng.choice((15, 30)),
        "protocols": [2, 3, 7],
        "w": 640,
        "h": 360,
        "plcmt": rng.randrange(1, 4),
    }


def _property(where: Property, rng: random.Random) -> Json:
    common: Json = {
        "id": f"{where.kind}-{where.publisher}",
        "name": where.title,
        "cat": list(where.cat),
        "publisher": {"id": where.publisher, "name": where.title},
    }
    if where.kind == "app":
        return common | {"bundle": where.name, "ver": f"3.{rng.randrange(9)}"}
    page = f"https://{where.name}/read/{rng.randrange(500)}"
    return common | {"domain": where.name, "page": page}


def _device(person: Person, *, in_app: bool) -> Json:
    place, gadget = person.place, person.gadget
    device: Json = {
        "ua": gadget.ua,
        "ip": person.ip,
        "devicetype": gadget.devicetype,
        "os": gadget.os,
        "osv": gadget.osv,
        "connectiontype": gadget.connectiontype,
        "language": place.language,
        "js": 1,
        "geo": {
            "country": place.country,
            "region": place.region,
            "city": place.city,
            "zip": place.zip,
            "lat": place.lat,
            "lon": place.lon,
            "type": 2,
            "utcoffset": place.utc_offset_min,
        },
    }
    if gadget.make:
        device["make"] = gadget.make
    if in_app:
        device["ifa"] = person.ifa
    if person.privacy == "limited":
        device["lmt"] = 1
    return device


def _user(person: Person) -> Json:
    user: Json = {"id": person.id, "buyeruid": f"b-{person.id}"}
    if person.segments:
        segments = [{"id": name} for name in person.segments]
        user["data"] = [{"id": "audiences", "segment": segments}]
    return user


def _regulations(person: Person, rng: random.Random) -> Json:
    told: Json = {}
    if person.privacy == "gdpr":
        told = {"gdpr": 1}
    elif person.privacy == "opted_out":
        told = {"us_privacy": "1YYN"}
    elif person.place.country == "USA":
        told = {"us_privacy": "1YNN"}
    if not told:
        return {}
    # Exchanges of OpenRTB 2.5 tell it in the extension.
    return {"regs": told if rng.random() < 0.6 else {"ext": told}}


def _floor_micros(imp: Json) -> int:
    return floor_to_micros(imp.get("bidfloor", Decimal(0)))


# --- what makes a request different; each changes it in place ---


def _plain(_request: Json, _rng: random.Random) -> None:
    pass


def _several_imps(request: Json, rng: random.Random) -> None:
    devicetype = request["device"]["devicetype"]
    for number in range(2, rng.randrange(3, 5)):
        request["imp"].append(_banner_imp(str(number), devicetype, rng))


def _blocks(request: Json, rng: random.Random) -> None:
    request["badv"] = ["casino.example", rng.choice(("harborcoffee.example", "quiz.example"))]
    request["bcat"] = ["IAB25", "IAB26", rng.choice(("IAB7-39", "IAB17"))]


def _open_deal(request: Json, _rng: random.Random) -> None:
    deal = {"id": "deal-7", "bidfloor": Decimal("3.50"), "bidfloorcur": "USD", "at": 1}
    request["imp"][0]["pmp"] = {"private_auction": 0, "deals": [deal]}


def _private_auction(request: Json, rng: random.Random) -> None:
    _open_deal(request, rng)
    request["imp"][0]["pmp"]["private_auction"] = 1


def _banner_or_video(request: Json, rng: random.Random) -> None:
    request["imp"][0]["video"] = _video(rng)


def _video_only(request: Json, rng: random.Random) -> None:
    _banner_or_video(request, rng)
    del request["imp"][0]["banner"]


def _native_only(request: Json, _rng: random.Random) -> None:
    assets = [{"id": 1, "required": 1, "title": {"len": 90}}]
    markup = msgspec.json.encode({"ver": "1.2", "assets": assets}).decode()
    request["imp"][0]["native"] = {"request": markup, "ver": "1.2"}
    del request["imp"][0]["banner"]


def _other_currency(request: Json, _rng: random.Random) -> None:
    request["cur"] = ["EUR"]


def _high_floor(request: Json, _rng: random.Random) -> None:
    request["imp"][0] |= {"bidfloor": Decimal("25.00"), "bidfloorcur": "USD"}


def _test(request: Json, _rng: random.Random) -> None:
    request["test"] = 1


def _anonymous(request: Json, _rng: random.Random) -> None:
    del request["user"]
    request["device"].pop("ifa", None)


_SHAPES: tuple[tuple[Callable[[Json, random.Random], None], int], ...] = (
    (_plain, 60),
    (_several_imps, 10),
    (_blocks, 5),
    (_banner_or_video, 5),
    (_open_deal, 3),
    (_anonymous, 3),
    (_video_only, 4),
    (_native_only, 2),
    (_private_auction, 2),
    (_high_floor, 2),
    (_other_currency, 1),
    (_test, 1),
)


def _break(body: bytes, rng: random.Random) -> bytes:
    """Return ``body`` as one of those that are answered 400."""
    return rng.choice(
        (
            body[: len(body) // 2],
            body.replace(b'"imp":[', b'"imps":['),
            b"<BidRequest/>",
            body.replace(b'{"id":', b'{"id":7,"was":', 1),
        )
    )
