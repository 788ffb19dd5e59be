"""What comes with a header that came before is answered past WSGI, and must look the same."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.bidder.calling import BODY, JSON, NOTHING_FOR_IT, REQUEST

if TYPE_CHECKING:
    from tests.integration.bidder.calling import Caller, Reply


def told(reply: Reply) -> tuple[int, list[tuple[str, str]], int]:
    """Return an answer's status, headers and length; ids, tokens and prices have fixed lengths."""
    headers = [(name, value) for name, value in reply.headers.items() if name != "Date"]
    return reply.status, headers, len(reply.body)


@pytest.mark.parametrize(
    ("status", "body", "headers", "path"),
    [
        (200, BODY, JSON, "/bid-request"),
        (200, BODY, {}, "/bid-request/telling"),
        (200, gzip.compress(BODY), {**JSON, "Content-Encoding": "gzip"}, "/bid-request"),
        (200, NOTHING_FOR_IT, JSON, "/bid-request/telling"),
        (204, NOTHING_FOR_IT, JSON, "/bid-request"),
        (204, BODY, {**JSON, "X-OpenRTB-Version": "3.0"}, "/bid-request"),
        (400, b"{", JSON, "/bid-request"),
        (400, b"", JSON, "/bid-request"),
        (400, BODY, {**JSON, "Content-Encoding": "br"}, "/bid-request"),
        (400, gzip.compress(BODY)[:-1], {**JSON, "Content-Encoding": "gzip"}, "/bid-request"),
        (404, BODY, JSON, "/bid-request/nobody"),
        (415, BODY, {"Content-Type": "application/x-protobuf"}, "/bid-request"),
    ],
)
def test_second_request_with_a_header_is_answered_as_the_first(
    caller: Caller, status: int, body: bytes, headers: dict[str, str], path: str
) -> None:
    first, *others = (told(caller.call(body, headers, path=path)) for _ in range(3))
    assert first[0] == status
    assert others == [first, first]


def test_second_answer_is_compressed_for_who_asks_for_it(caller: Caller) -> None:
    asking = {**JSON, "Accept-Encoding": "gzip"}
    for _ in range(3):
        reply = caller.call(BODY, asking)
        assert reply.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(reply.body))["id"] == REQUEST["id"]


def test_second_request_over_the_limit_of_an_exchange_gets_no_bid(caller: Caller) -> None:
    statuses = [caller.call(path="/bid-request/slow").status for _ in range(8)]
    assert statuses[:3] == [200] * 3
    assert statuses[-1] == 204
