"""A bid request of which the strict reading has failed, read attribute by attribute."""

from __future__ import annotations

from collections import Counter
from typing import Any

from adctl.openrtb.lenient import DROPPED, REFUSED, Shape
from adctl.openrtb.request import BidRequest, Imp, LenientRequest, Unread
from adctl.openrtb.scalars import READ, Found, UnreadableError
from adctl.openrtb.unreadable import RULES

_REQUEST = Shape(BidRequest, RULES, apart=frozenset({"imp"}))
_IMP = Shape(Imp, RULES, "imp")
# Its codes all begin with letters; it is meant where a request does not say [3.2.1].
_CONTENT_TAXONOMY_1_0 = 1


def read_leniently(raw: dict[str, Any]) -> LenientRequest | None:
    """Return the request that ``raw`` means; None without an id, or an impression that has one."""
    found = Found()
    told, refusal = _REQUEST.parts(raw, found)
    imps, broken = _impressions(raw.get("imp"), found)
    if told.get("id") is None or not (imps or broken):
        return None
    if _blocks_by_number(raw.get("bcat")) and told.get("cattax") in (None, _CONTENT_TAXONOMY_1_0):
        found["bcat"] = REFUSED
        refusal = UnreadableError()
    if broken or any(path.startswith("imp.") and found[path] != READ for path in found):
        # It is not known what all impressions of the page are.
        told["allimps"] = None
    unread = Unread(tuple(sorted(found.items())), tuple(dict.fromkeys(broken)), refusal is not None)
    return LenientRequest(**told, imp=imps, unread=unread)


def _impressions(raw: object, found: Found) -> tuple[list[Imp], list[str]]:
    """Return the impressions that could be read, and the ids of those that could not."""
    imps, broken = [], []
    for one in raw if type(raw) is list else ():
        try:
            imps.append(_IMP.read(one, found))
        except UnreadableError as exc:
            if not exc.noted:
                found.count_fault()
                found["imp"] = DROPPED
            if type(one) is dict and type(one.get("id")) is str and one["id"]:
                broken.append(one["id"])
    return imps, broken


def _blocks_by_number(bcat: object) -> bool:
    told = bcat if type(bcat) is list else [bcat]
    return any(type(code) is not str and code is not None for code in told)


def with_ids_of_their_own(request: BidRequest) -> BidRequest | None:
    """Return ``request`` without impressions that no bid could name: without an id, or one of two.

    None if no other is left.
    """
    before = request.unread or Unread()
    times = Counter([imp.id for imp in request.imp] + list(before.imps))
    imps = [imp for imp in request.imp if imp.id and times[imp.id] == 1]
    if len(imps) == len(request.imp):
        return request
    if not imps:
        return None
    lost = dict.fromkeys(id_ for id_ in times if id_ and (times[id_] > 1 or id_ in before.imps))
    told = {name: getattr(request, name) for name in BidRequest.__struct_fields__}
    unread = Unread(
        tuple(sorted({**dict(before.attributes), "imp.id": REFUSED}.items())),
        tuple(lost),
        before.refused,
    )
    return LenientRequest(**{**told, "imp": imps, "allimps": None}, unread=unread)
