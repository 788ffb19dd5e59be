"""From bytes to a bid request, or to the reason why they are none."""

from __future__ import annotations

import msgspec

from adctl.openrtb.request import BidRequest


class MalformedRequestError(ValueError):
    """A body that is not a bid request: HTTP 400."""


_decoder = msgspec.json.Decoder(BidRequest)


def decode_request(body: bytes) -> BidRequest:
    """Return the bid request in ``body``. Raises MalformedRequestError, whatever the bytes.

    Beyond types: ``id`` and every ``imp.id`` are non-empty, imp ids unique, and at most one of
    site, app and dooh is there [3.2.1, 3.2.4, 3.2.13].
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError) as exc:
        raise MalformedRequestError(str(exc)[:200]) from exc
    if not request.id or not request.imp:
        raise MalformedRequestError("id and imp must not be empty")
    ids = {imp.id for imp in request.imp}
    if "" in ids or len(ids) != len(request.imp):
        raise MalformedRequestError("every imp needs an id of its own")
    if sum(part is not None for part in (request.site, request.app, request.dooh)) > 1:
        raise MalformedRequestError("at most one of site, app and dooh")
    return request
