"""What is kept of a header for the next request that brings the same one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from tests.integration.our_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

HEAD = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Told: a\r\nContent-Length: 3\r\n\r\n"
ITS_OWN = ("REMOTE_PORT", "wsgi.input", "waitress.client_disconnected")


class Echo:
    """Answers with what was posted, changes what it was given, and keeps a copy."""

    def __init__(self) -> None:
        self.environments: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        self.environments.append(environ.copy())
        environ["HTTP_X_TOLD"] = "changed"
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("content-length", str(len(body))), ("x-as-told", "1")])
        return (body,)


def ask(port: int, text: bytes, answers: int = 1) -> bytes:
    """Send ``text``; return what comes back, up to so many bodies of three bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(text)
        got = b""
        while got.count(b"\r\n\r\n") < answers or len(got.rpartition(b"\r\n\r\n")[2]) < 3:
            got += client.recv(4096)
        return got


def test_header_that_comes_again_is_read_as_it_was_the_first_time() -> None:
    app = Echo()
    with serving(app) as port:
        bodies = [ask(port, HEAD + body)[-3:] for body in (b"one", b"two")]
    assert bodies == [b"one", b"two"]
    first, again = app.environments
    assert {**again, **dict.fromkeys(ITS_OWN)} == {**first, **dict.fromkeys(ITS_OWN)}
    assert again["HTTP_X_TOLD"] == "a"
    assert again["REMOTE_PORT"] != first["REMOTE_PORT"]


def test_header_that_comes_again_on_one_connection_has_its_own_body() -> None:
    with serving(Echo()) as port:
        got = ask(port, HEAD + b"one" + HEAD + b"two", answers=2)
    assert got.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"\r\n\r\none" in got
    assert got.endswith(b"two")


def test_answer_has_its_headers_as_waitress_writes_them() -> None:
    with serving(Echo()) as port:
        head, _, _ = ask(port, HEAD + b"one").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"Content-Length: 3", b"X-As-Told: 1"]
    assert lines[3].startswith(b"Date: ")
    assert lines[3].endswith(b" GMT")
