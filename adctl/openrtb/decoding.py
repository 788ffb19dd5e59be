"""From bytes to a bid request, or to the reason why they are none."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any

import msgspec

from adctl.openrtb.lenient import decode_any
from adctl.openrtb.lenient_request import read_leniently, with_ids_of_their_own
from adctl.openrtb.request import BidRequest, Exact

if TYPE_CHECKING:
    from collections.abc import Iterator


class MalformedRequestError(ValueError):
    """A body that is not a bid request: HTTP 400."""


def _exact(wanted: type, told: object) -> Exact:
    # float_hook has made one of every number with a point or an exponent. A bool is an int.
    if isinstance(told, Exact):
        return told
    if wanted is Exact and type(told) is int:
        return Exact(told)
    raise ValueError(f"Expected `number`, got `{type(told).__name__}`")


# Twenty times the largest examples there are, and a few milliseconds of work.
MAX_VALUES = 12_000
MAX_IMPS = 250
# More than there are languages, or categories in a taxonomy of the IAB's.
MAX_CODES = 1_000

_INVENTORY = frozenset({"site", "app", "dooh"})

_decoder = msgspec.json.Decoder(BidRequest, dec_hook=_exact, float_hook=Exact)


def decode_request(body: bytes) -> BidRequest:
    """Return the bid request in ``body``. Raises MalformedRequestError, whatever the bytes.

    What is not of its attribute's type is read leniently, and ``unread`` tells what could not be.
    That takes several times as long, so it is tried only after the strict reading has failed.

    Beyond types: ``id`` and every ``imp.id`` are non-empty, imp ids unique, and at most one of
    site, app and dooh has anything in it [3.2.1, 3.2.4, 3.2.13]. Impressions without such an id
    are left out while there are others. Of impressions there may be ``MAX_IMPS``, of values
    (members of objects and entries of lists) ``MAX_VALUES``; commas are counted for them, because
    that takes next to no time. A list of languages, or of the inventory's categories, may have
    ``MAX_CODES``.
    """
    # A comma has at least a byte of a value before it.
    if len(body) > 2 * MAX_VALUES and body.count(b",") > MAX_VALUES:
        raise MalformedRequestError(f"more than {MAX_VALUES:,} values")
    body = body.removeprefix(BOM_UTF8)
    try:
        if not body.isascii():
            # What is skipped is not looked at, and JSON is UTF-8 all through.
            body.decode()
        request = _decoded(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as exc:
        raise MalformedRequestError(str(exc)[:200]) from exc
    if not request.id or not (request.imp or request.unread):
        raise MalformedRequestError("id and imp must not be empty")
    if len(request.imp) > MAX_IMPS:
        raise MalformedRequestError(f"more than {MAX_IMPS} imps")
    # An entry takes three bytes at least.
    if len(body) > 3 * MAX_CODES and any(len(c or ()) > MAX_CODES for c in _codes(request)):
        raise MalformedRequestError(f"more than {MAX_CODES:,} categories or languages")
    ids = {imp.id for imp in request.imp}
    if "" in ids or len(ids) != len(request.imp) or (request.unread and request.unread.imps):
        request = _with_ids_of_their_own(request)
    if sum(part is not None for part in (request.site, request.app, request.dooh)) > 1:
        request = _in_one_place(request, decode_any(body))
    return request


def _decoded(body: bytes) -> BidRequest:
    try:
        return _decoder.decode(body)
    except (msgspec.ValidationError, ArithmeticError) as exc:
        raw = decode_any(body)
        if type(raw) is not dict:
            raise
        if type(raw.get("imp")) is list and len(raw["imp"]) > MAX_IMPS:
            raise MalformedRequestError(f"more than {MAX_IMPS} imps") from exc
        request = read_leniently(raw)
        if request is None:
            raise MalformedRequestError(str(exc)[:200]) from exc
        return request


def _with_ids_of_their_own(request: BidRequest) -> BidRequest:
    named = with_ids_of_their_own(request)
    if named is None:
        raise MalformedRequestError("every imp needs an id of its own")
    return named


def _in_one_place(request: BidRequest, raw: dict[str, Any]) -> BidRequest:
    """Return ``request`` without inventory that was sent with nothing in it."""
    filled = [name for name in _INVENTORY if raw.get(name)]
    if len(filled) != 1:
        raise MalformedRequestError("at most one of site, app and dooh")
    return msgspec.structs.replace(request, **dict.fromkeys(_INVENTORY - {*filled}))


def _codes(request: BidRequest) -> Iterator[list[str] | None]:
    yield request.wlang
    yield request.wlangb
    for inventory in (request.site, request.app):
        if inventory is not None:
            yield from (inventory.cat, inventory.sectioncat, inventory.pagecat)
            yield inventory.content.cat if inventory.content else None
