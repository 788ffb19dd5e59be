"""Messages that two readers could take apart differently: 400, and the connection is closed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.integration.our_server import serving
from tests.integration.test_channel import Echo

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET /a HTTP/1.1\r\n"
POST = b"POST /a HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
END = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
EMPTY_BODY = b"0\r\n\r\n"
# What follows a message that is refused is no request.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

UNCLEAR = {
    "length and coding": POST + HOST + b"Content-Length: 5\r\n" + CHUNKED + END + EMPTY_BODY,
    "coding and length": POST + HOST + CHUNKED + b"Content-Length: 5\r\n" + END + EMPTY_BODY,
    "length and coding in HTTP/1.0": b"POST /a HTTP/1.0\r\nContent-Length: 5\r\n"
    + CHUNKED
    + END
    + EMPTY_BODY,
    "two lengths": POST + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n" + END + b"abcd",
    "two equal lengths": POST + HOST + b"Content-Length: 3\r\n" * 2 + END + b"abc",
    "a list of lengths": POST + HOST + b"Content-Length: 3, 3\r\n" + END + b"abc",
    "a length with a sign": POST + HOST + b"Content-Length: +3\r\n" + END + b"abc",
    "a length below zero": POST + HOST + b"Content-Length: -3\r\n" + END + b"abc",
    "a length of 5,000 digits": POST + HOST + b"Content-Length: " + b"9" * 5000 + END + END,
    "no length in its place": POST + HOST + b"Content-Length:\r\n" + END,
    "two hosts": GET + HOST + b"Host: y\r\n" + END,
    "the same host twice": GET + HOST + HOST + END,
    "two empty hosts": GET + b"Host:\r\n" * 2 + END,
    "two hosts in HTTP/1.0": b"GET /a HTTP/1.0\r\n" + HOST + HOST + END,
    "no host": GET + END,
    "a host with a path": GET + b"Host: x/y\r\n" + END,
    "a host with a user": GET + b"Host: a@x\r\n" + END,
    "a host with a blank": GET + b"Host: x y\r\n" + END,
    "a coding repeated": POST + HOST + CHUNKED + CHUNKED + END + EMPTY_BODY,
    "a coding repeated in a list": POST
    + HOST
    + b"Transfer-Encoding: chunked, chunked\r\n"
    + END
    + EMPTY_BODY,
    "a coding before chunked": POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n" + END,
    "a coding behind chunked": POST + HOST + b"Transfer-Encoding: chunked, gzip\r\n" + END,
    "a coding that is not chunked": POST + HOST + b"Transfer-Encoding: identity\r\n" + END,
    "a coding nobody knows": POST + HOST + b"Transfer-Encoding: xchunked\r\n" + END,
    "an empty coding": POST + HOST + b"Transfer-Encoding:\r\n" + END,
    "an empty coding in a list": POST + HOST + b"Transfer-Encoding: ,chunked\r\n" + END,
    "a coding with parameters": POST + HOST + b"Transfer-Encoding: chunked;a=b\r\n" + END,
    "a blank before the colon": POST + HOST + b"Content-Length : 3\r\n" + END + b"abc",
    "a blank before the coding's colon": POST + HOST + b"Transfer-Encoding : chunked\r\n" + END,
    "a header line that is folded": GET + HOST + b"X-A: b\r\n c\r\n" + END,
    "a coding that is folded": POST + HOST + b"Transfer-Encoding:\r\n chunked\r\n" + END,
    "a first header line that is folded": GET + b" Host: x\r\n" + END,
    "a line without a colon": GET + HOST + b"nothing\r\n" + END,
    "a line without a name": GET + HOST + b": b\r\n" + END,
    "a bare LF in a header": GET + HOST + b"X-A: b\nX-B: c\r\n" + END,
    "a bare CR in a header": GET + HOST + b"X-A: b\rX-B: c\r\n" + END,
    "a bare LF behind the first line": b"GET /a HTTP/1.1\nHost: x\r\n\r\n",
    "bare LFs alone": b"GET /a HTTP/1.1\nHost: x\n\n",
    "bare CRs alone": b"GET /a HTTP/1.1\rHost: x\r\r",
    "a NUL in a value": GET + HOST + b"X-A: b\x00c\r\n" + END,
    "a NUL in a name": GET + HOST + b"X-\x00A: b\r\n" + END,
    "a NUL in the path": b"GET /a\x00b HTTP/1.1\r\n" + HOST + END,
    "a control character in a value": GET + HOST + b"X-A: \x0b\r\n" + END,
    "a version before HTTP/1.0": b"GET /a HTTP/0.9\r\n" + HOST + END,
    "a version behind HTTP/1.1": b"POST /a HTTP/1.2\r\n" + HOST + CHUNKED + END + EMPTY_BODY,
    "another version": b"GET /a HTTP/2.0\r\n" + HOST + END,
    "no version": b"GET /a\r\n" + HOST + END,
    "half a bracket": b"GET http://[x/a HTTP/1.1\r\n" + HOST + END,
    "a refused message that waits to go on": POST
    + HOST
    + b"Expect: 100-continue\r\nContent-Length: 3\r\n"
    + CHUNKED
    + END,
    "a chunk's length with a sign": POST + HOST + CHUNKED + END + b"+1\r\nx\r\n0\r\n\r\n",
    "a chunk's length as Python writes it": POST + HOST + CHUNKED + END + b"0x1\r\nx\r\n0\r\n\r\n",
    "a chunk that does not end": POST + HOST + CHUNKED + END + b"1\r\nxy\r\n0\r\n\r\n",
    "a chunk's line with a bare LF": POST + HOST + CHUNKED + END + b"1\nx\r\n0\r\n\r\n",
}
CLEAR = {
    "HTTP/1.0 without a host": b"GET /a HTTP/1.0\r\n" + END,
    "an empty host": GET + b"Host:\r\n" + END,
    "a host with a port": GET + b"Host: [::1]:8080\r\n" + END,
    "a coding in capitals": POST + HOST + b"TRANSFER-ENCODING: Chunked \r\n" + END + EMPTY_BODY,
    "a coding in words": GET + HOST + b"X-A: transfer-encoding: gzip\r\n" + END,
    "a tab in a value": GET + HOST + b"X-A: b\tc\r\n" + END,
    "an empty line before": END + GET + HOST + END,
    "a whole address": b"GET http://x/a HTTP/1.1\r\n" + HOST + END,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(Echo()) as port:
        yield port


def everything(port: int, *parts: bytes) -> bytes:
    """Send all parts, and return all that comes until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        got = b""
        for part in parts:
            client.sendall(part)
        try:
            while more := client.recv(4096):
                got += more
        except ConnectionResetError:
            pass
        return got


@pytest.mark.parametrize("message", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_unclear_message_is_answered_400_and_what_follows_it_is_not_read(
    port: int, message: bytes
) -> None:
    got = everything(port, message + SMUGGLED)
    assert got.startswith(b"HTTP/1."), got
    assert got.split(b" ", 2)[1] == b"400"
    assert got.count(b"\r\nDate: ") == 1
    assert len(got) < 600


@pytest.mark.parametrize("end", [b"\n", b"\r"], ids=["LF", "CR"])
def test_message_with_another_line_end_is_answered_though_it_never_ends(
    port: int, end: bytes
) -> None:
    got = everything(port, end.join((b"GET /a HTTP/1.1", b"Host: x", b"", b"")))
    assert got.split(b" ", 2)[1] == b"400"


@pytest.mark.parametrize("message", CLEAR.values(), ids=CLEAR.keys())
def test_clear_message_is_answered(port: int, message: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(message)
        assert client.recv(4096).split(b" ", 2)[1] == b"200"


def test_a_line_end_in_two_packets_is_one(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET + HOST + END:
            client.sendall(bytes([byte]))
        assert client.recv(4096).split(b" ", 2)[1] == b"200"
