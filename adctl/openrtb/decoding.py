"""From bytes to a bid request, or to the reason why they are none."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING

import msgspec

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

_decoder = msgspec.json.Decoder(BidRequest, dec_hook=_exact, float_hook=Exact)


def decode_request(body: bytes) -> BidRequest:
    """Return the bid request in ``body``. Raises MalformedRequestError, whatever the bytes.

    Beyond types: ``id`` and every ``imp.id`` are non-empty, imp ids unique, and at most one of
    site, app and dooh is there [3.2.1, 3.2.4, 3.2.13]. Of impressions there may be ``MAX_IMPS``,
    of values (members of objects and entries of lists) ``MAX_VALUES``; commas are counted for
    them, because that takes next to no time. A list of languages, or of the inventory's
    categories, may have ``MAX_CODES``.
    """
    # A comma has at least a byte of a value before it.
    if len(body) > 2 * MAX_VALUES and body.count(b",") > MAX_VALUES:
        raise MalformedRequestError(f"more than {MAX_VALUES:,} values")
    body = body.removeprefix(BOM_UTF8)
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError) as exc:
        raise MalformedRequestError(str(exc)[:200]) from exc
    if not request.id or not request.imp:
        raise MalformedRequestError("id and imp must not be empty")
    if len(request.imp) > MAX_IMPS:
        raise MalformedRequestError(f"more than {MAX_IMPS} imps")
    # An entry takes three bytes at least.
    if len(body) > 3 * MAX_CODES and any(len(c or ()) > MAX_CODES for c in _codes(request)):
        raise MalformedRequestError(f"more than {MAX_CODES:,} categories or languages")
    ids = {imp.id for imp in request.imp}
    if "" in ids or len(ids) != len(request.imp):
        raise MalformedRequestError("every imp needs an id of its own")
    if sum(part is not None for part in (request.site, request.app, request.dooh)) > 1:
        raise MalformedRequestError("at most one of site, app and dooh")
    return request


def _codes(request: BidRequest) -> Iterator[list[str] | None]:
    yield request.wlang
    yield request.wlangb
    for inventory in (request.site, request.app):
        if inventory is not None:
            yield from (inventory.cat, inventory.sectioncat, inventory.pagecat)
            yield inventory.content.cat if inventory.content else None
