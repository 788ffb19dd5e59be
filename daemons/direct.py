"""The short way of a request through our server: from its body to its answer, past WSGI.

WSGI has an environment made for every request, and its answer looked through header by header. Who
is asked the same thing thousands of times a second by the same few clients can do without: what a
header says is found out once, and what is answered above a body is one of a few texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from waitress.utilities import build_http_date

if TYPE_CHECKING:
    from adctl.delivery.steps import Steps


class Head:
    """What is above the body of answers of one kind; ``headers`` without their length.

    A 204 has no body, and no length (RFC 9110, 8.6).
    """

    def __init__(self, status: str, *headers: tuple[str, str]) -> None:
        self.status = status
        self.has_body = not status.startswith("204")
        self._headers = headers
        lines = "".join([f"{titled(name)}: {value}\r\n" for name, value in headers])
        self._told = f"HTTP/1.1 {status}\r\n{lines}".encode("latin-1")

    def headers(self, length: int) -> list[tuple[str, str]]:
        """Return the headers of an answer with so long a body, as WSGI takes them."""
        told = ("content-length", str(length))
        return [*self._headers, told] if self.has_body else [*self._headers]

    def above(self, length: int, now_sec: int) -> bytes:
        """Return the same as HTTP/1.1 has it, with the date."""
        told = b"Content-Length: %d\r\n" % length if self.has_body else b""
        return b"%b%bDate: %b\r\n\r\n" % (self._told, told, http_date(now_sec))


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer."""

    head: Head
    body: bytes = b""

    def sent_at(self, now_sec: int) -> bytes:
        """Return all of it as HTTP/1.1."""
        return self.head.above(len(self.body), now_sec) + self.body


Route = Callable[[bytes], "Steps[Reply]"]
"""Answers a body."""

Routes = Callable[[Mapping[str, Any]], Route | None]
"""Tells from a header, as WSGI's environment has it, who answers directly; None: nobody does."""


def no_routes(_header: Mapping[str, Any]) -> None:
    """Have everything answered through WSGI."""


@lru_cache(maxsize=128)
def titled(name: str) -> str:
    """Return a header's name as waitress writes it."""
    return "-".join([part.capitalize() for part in name.split("-")])


@lru_cache(maxsize=2)
def http_date(now_sec: int) -> bytes:
    """Return a time in seconds since 1970 as headers have it."""
    return build_http_date(now_sec).encode()  # type: ignore[no-any-return]
