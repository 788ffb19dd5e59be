"""The short way past WSGI: who takes it, and that it looks no different from outside."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from daemons.direct import Head, Reply
from tests.integration.our_server import serving

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from wsgiref.types import StartResponse

OK = Head("200 OK", ("x-as-told", "1"))
EMPTY = Head("204 No Content", ("x-as-told", "1"))
KEPT_BYTES = 200_000


class Echo:
    """Answers with what was posted, either way, and says which; b"no" gets an empty answer."""

    def __init__(self) -> None:
        self.short: list[bytes] = []
        self.long: list[bytes] = []
        self.log: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        self.long.append(body)
        head = EMPTY if body == b"no" else OK
        start_response(head.status, head.headers(len(body)))
        return (body,) if head.has_body else ()

    def route(self, header: Mapping[str, Any]) -> Any:
        self.log.append(header["PATH_INFO"])
        return self.steps if header["PATH_INFO"] == "/short" else None

    def steps(self, body: bytes) -> Generator[None, None, Reply]:
        self.short.append(body)
        yield None
        if body == b"bad":
            raise RuntimeError
        return Reply(EMPTY) if body == b"no" else Reply(OK, body)


def post(body: bytes, path: str = "/short", more: str = "", version: str = "1.1") -> bytes:
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.got = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        self.sock.close()

    def ask(self, text: bytes) -> tuple[list[bytes], bytes]:
        self.sock.sendall(text)
        return self.answer()

    def answer(self) -> tuple[list[bytes], bytes]:
        """Return the lines of the next answer but for its date, and its body."""
        while b"\r\n\r\n" not in self.got:
            self._more()
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Date: ")]
        length = next((int(line[16:]) for line in lines if line.startswith(b"Content-Length")), 0)
        while len(self.got) < length:
            self._more()
        body, self.got = self.got[:length], self.got[length:]
        return lines, body

    def _more(self) -> None:
        more = self.sock.recv(1 << 20)
        assert more, "hung up"
        self.got += more


@pytest.mark.parametrize("body", [b"one", b"no", b"", b"x" * 10_000, b"y" * KEPT_BYTES], ids=len)
def test_header_that_came_before_is_answered_directly_and_alike(body: bytes) -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as client:
        first = client.ask(post(body))
        assert (client.ask(post(body)), client.ask(post(body))) == (first, first)
    assert app.long == [body]
    assert app.short == [body] * 2
    assert app.log == ["/short"]


@pytest.mark.parametrize(
    "text",
    [
        post(b"one", path="/long"),
        post(b"one", more="Connection: TE\r\n"),
        post(b"z" * (KEPT_BYTES + 1)),
        b"POST /short HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ],
    ids=["another path", "about the connection", "too long", "chunked"],
)
def test_what_is_not_plain_goes_through_wsgi(text: bytes) -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as client:
        for _ in range(3):
            client.ask(text)
    assert len(app.long) == 3
    assert app.short == []


def test_connection_that_is_said_to_be_kept_is_as_one_that_is_not() -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as client:
        for _ in range(3):
            client.ask(post(b"one", more="Connection: Keep-Alive\r\n"))
    assert len(app.short) == 2


@pytest.mark.parametrize(("more", "version"), [("Connection: close\r\n", "1.1"), ("", "1.0")])
def test_connection_that_is_not_to_be_kept_is_closed(more: str, version: str) -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port:
        for _ in range(3):
            with Client(port) as client:
                assert client.ask(post(b"one", more=more, version=version))[1] == b"one"
                assert client.sock.recv(1) == b""
    assert app.short == []


def test_requests_sent_in_a_row_are_answered_in_their_order_whichever_way_they_go() -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as client:
        bodies = [b"%03d" % number for number in range(20)]
        paths = ["/short" if number % 3 else "/long" for number in range(20)]
        told = [post(body, path) for body, path in zip(bodies, paths, strict=True)]
        client.sock.sendall(b"".join(told))
        assert [client.answer()[1] for _ in bodies] == bodies
    assert len(app.short) > 10


def test_long_answer_arrives_whole_at_a_client_that_reads_late() -> None:
    app, many = Echo(), 40
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as client:
        body = b"w" * KEPT_BYTES
        client.ask(post(body))
        sender = threading.Thread(target=client.sock.sendall, args=(post(body) * many,))
        sender.start()
        sender.join(0.3)
        assert all(client.answer()[1] == body for _ in range(many))
        sender.join()
    assert app.short


def test_steps_that_raise_close_the_connection_and_nobody_elses() -> None:
    app = Echo()
    with (
        serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port,
        Client(port) as other,
        Client(port) as client,
    ):
        other.ask(post(b"one"))
        client.sock.sendall(post(b"bad"))
        assert client.sock.recv(100) == b""
        assert other.ask(post(b"one"))[1] == b"one"


def test_client_that_has_gone_costs_nobody_an_answer() -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as other:
        other.ask(post(b"one"))
        for _ in range(20):
            gone = Client(port)
            gone.sock.sendall(post(b"two"))
            gone.sock.close()
        assert other.ask(post(b"one"))[1] == b"one"


def test_request_half_arrived_behind_another_is_answered_once_it_is_whole() -> None:
    app = Echo()
    with serving(app, routes=app.route, kept_body_bytes=KEPT_BYTES) as port, Client(port) as client:
        client.ask(post(b"one"))
        text = post(b"two")
        client.sock.sendall(post(b"one") + text[:40])
        assert client.answer()[1] == b"one"
        client.sock.sendall(text[40:])
        assert client.answer()[1] == b"two"
