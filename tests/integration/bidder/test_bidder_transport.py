"""What HTTP wraps around bid requests: types, versions, compression, framing, and limits."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.bidder.calling import (
    ARRIVAL_TIMEOUT_SEC,
    BODY,
    JSON,
    MAX_BODY_BYTES,
    NOTHING_FOR_IT,
    REQUEST,
    raw,
)

if TYPE_CHECKING:
    from adctl.control.daemon_process import DaemonProcess
    from tests.integration.bidder.calling import Caller


def has_hung_up(sock: socket.socket) -> bool:
    """Return whether the server has closed the connection; waits for as long as its timeout."""
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def peak_kib_of_workers(daemon: DaemonProcess) -> int:
    """Return the most memory any of the daemon's processes has had."""
    family = [str(daemon.pid), *children_of(daemon.pid)]
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in family]
    return max(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) for status in statuses)  # type: ignore[index]


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("excess", [1, 1_000_000])
def test_body_over_the_limit_is_refused_and_the_connection_kept(
    caller: Caller, excess: int
) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    reply = caller.call(BODY.ljust(MAX_BODY_BYTES + excess))
    assert (reply.status, reply.body) == (400, b"")
    assert caller.call().status == 200
    assert caller.connection.sock is sock


def test_chunked_body_over_the_limit_is_refused(caller: Caller) -> None:
    pieces = (b" " * 1000 for _ in range(MAX_BODY_BYTES // 1000 + 1))
    assert caller.call(pieces, encode_chunked=True).status in (400, 413)


def test_body_beyond_what_is_ever_read_is_refused_unread(bidder: DaemonProcess) -> None:
    head = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n"
    assert b" 413 " in raw(bidder.port, head)


def test_body_under_the_limit_is_read(caller: Caller) -> None:
    padded = {**REQUEST, "ext": {"padding": "x" * (MAX_BODY_BYTES - 1024)}}
    assert caller.call(json.dumps(padded)).status == 200


GZIPPED = gzip.compress(BODY)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_gzip_body_is_read(caller: Caller, encoding: str) -> None:
    assert caller.call(GZIPPED, {**JSON, "Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize(
    "body",
    [BODY, b"", GZIPPED[:-1], GZIPPED[:40], GZIPPED + b"more", GZIPPED[:-8] + bytes(8)],
    ids=["plain", "empty", "cut at the end", "cut", "followed", "wrong checksum"],
)
def test_gzip_that_is_broken_is_refused_without_a_body(caller: Caller, body: bytes) -> None:
    reply = caller.call(body, {**JSON, "Content-Encoding": "gzip"})
    assert (reply.status, reply.body) == (400, b"")
    assert caller.call().status == 200


BOMB = gzip.compress(b" " * (40 << 20))


@pytest.mark.parametrize(
    "bomb", [BOMB, BOMB + bytes(1 << 20)], ids=["short enough to be read", "long"]
)
def test_gzip_bomb_is_refused_with_bounded_memory(
    bidder: DaemonProcess, caller: Caller, bomb: bytes
) -> None:
    assert len(BOMB) <= MAX_BODY_BYTES
    before_kib = peak_kib_of_workers(bidder)
    replies = [caller.call(bomb, {**JSON, "Content-Encoding": "gzip"}) for _ in range(20)]
    assert {(reply.status, reply.body) for reply in replies} == {(400, b"")}
    assert peak_kib_of_workers(bidder) - before_kib < 8 << 10


def test_body_is_read_up_to_the_limit_once_inflated(caller: Caller) -> None:
    padded = {**REQUEST, "ext": {"padding": "x" * (MAX_BODY_BYTES - 1024)}}
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert caller.call(gzip.compress(json.dumps(padded).encode()), headers).status == 200
    padded["ext"] = {"padding": "x" * MAX_BODY_BYTES}
    assert caller.call(gzip.compress(json.dumps(padded).encode()), headers).status == 400


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5, br", "GZIP"])
def test_answer_is_gzip_for_those_who_ask_for_it(caller: Caller, accepted: str) -> None:
    reply = caller.call(headers={**JSON, "Accept-Encoding": accepted})
    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body))["id"] == "r-1"


@pytest.mark.parametrize("accepted", [None, "identity", "br", "gzip;q=0", "gzip;q=0.0, br"])
def test_answer_is_plain_for_those_who_do_not(caller: Caller, accepted: str | None) -> None:
    headers = {**JSON, "Accept-Encoding": accepted} if accepted else JSON
    caller.connection.putrequest("POST", "/bid-request", skip_accept_encoding=True)
    for name, value in {**headers, "Content-Length": str(len(BODY))}.items():
        caller.connection.putheader(name, value)
    caller.connection.endheaders(BODY)
    reply = caller.connection.getresponse()
    assert reply.headers["Content-Encoding"] is None
    assert json.loads(reply.read())["id"] == "r-1"


def test_no_bid_is_never_compressed(caller: Caller) -> None:
    reply = caller.call(NOTHING_FOR_IT, {**JSON, "Accept-Encoding": "gzip"})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Content-Encoding"] is None
    assert reply.headers["Content-Type"] is None
    assert reply.headers["Content-Length"] in (None, "0")


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/vnd.google.protobuf"])
def test_protobuf_is_refused_without_a_body(caller: Caller, kind: str) -> None:
    reply = caller.call(headers={"Content-Type": kind})
    assert (reply.status, reply.body) == (415, b"")
    assert caller.call().status == 200


@pytest.mark.parametrize("version", ["2.6", "2.5", "2.3", "2.6-202606", "banana", ""])
def test_version_that_can_be_read_is_answered(caller: Caller, version: str) -> None:
    reply = caller.call(headers={**JSON, "x-openrtb-version": version})
    assert (reply.status, reply.headers["x-openrtb-version"]) == (200, "2.6")


def test_version_3_gets_no_bid(caller: Caller) -> None:
    before = caller.count("version")
    reply = caller.call(headers={**JSON, "x-openrtb-version": "3.0"})
    assert (reply.status, reply.body) == (204, b"")
    assert caller.count("version") == before + 1


def test_a_thousand_no_bids_go_over_one_connection(caller: Caller) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    assert all(caller.call(NOTHING_FOR_IT).status == 204 for _ in range(1000))
    assert caller.connection.sock is sock


def test_connection_is_kept_after_a_refusal(caller: Caller) -> None:
    caller.connection.connect()
    sock = caller.connection.sock
    assert caller.call(b"{").status == 400
    assert caller.call().status == 200
    assert caller.connection.sock is sock


def test_body_longer_than_announced_is_not_a_second_request(bidder: DaemonProcess) -> None:
    head = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    answer = raw(bidder.port, head + BODY)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 200" not in answer


def test_slow_body_holds_up_nobody_and_is_not_waited_for_to_its_end(
    bidder: DaemonProcess, caller: Caller
) -> None:
    head = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", bidder.port), timeout=0.05) as sock:
        sock.sendall(head)
        began = time.monotonic()
        while not has_hung_up(sock):
            assert time.monotonic() - began < 10 * ARRIVAL_TIMEOUT_SEC
            assert caller.call().status == 200
            with suppress(OSError):
                sock.sendall(b" ")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x-nothing"])
def test_encoding_that_is_not_read_is_refused(caller: Caller, encoding: str) -> None:
    reply = caller.call(headers={**JSON, "Content-Encoding": encoding})
    assert (reply.status, reply.body) == (400, b"")


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
def test_encoding_that_is_none_is_read(caller: Caller, encoding: str) -> None:
    assert caller.call(headers={**JSON, "Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
    ],
)
def test_json_is_read_whatever_it_is_called(caller: Caller, headers: dict[str, str]) -> None:
    assert caller.call(headers=headers).status == 200


def test_chunked_body_is_read(caller: Caller) -> None:
    pieces = (BODY[at : at + 100] for at in range(0, len(BODY), 100))
    assert caller.call(pieces, encode_chunked=True).status == 200


def test_client_that_asks_first_is_told_to_continue(bidder: DaemonProcess) -> None:
    head = (
        b"POST /bid-request HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY)
    )
    with socket.create_connection(("127.0.0.1", bidder.port), timeout=5) as sock:
        sock.sendall(head)
        assert sock.recv(4096).startswith(b"HTTP/1.1 100")
        sock.sendall(BODY)
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200")


def test_requests_sent_in_a_row_are_answered_in_a_row(bidder: DaemonProcess) -> None:
    one = b"POST /bid-request HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with socket.create_connection(("127.0.0.1", bidder.port), timeout=5) as sock:
        sock.sendall((one + BODY) * 3)
        answers = b""
        while answers.count(b'"id":"r-1"') < 3:
            chunk = sock.recv(65_536)
            assert chunk
            answers += chunk
    assert answers.count(b"HTTP/1.1 200") == 3
