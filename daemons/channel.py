"""How our server reads a request and writes its answer: waitress' own ways, and their repetitions.

An exchange sends the same header with request after request, but for the length of its body. What
was read from a header is therefore kept for the next request that brings the very same bytes.
"""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import structlog
from waitress.buffers import OverflowableBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.receiver import FixedStreamReceiver
from waitress.task import WSGITask
from waitress.utilities import BadRequest, RequestEntityTooLarge

from daemons.direct import http_date, titled
from daemons.framing import has_bare_line_end, refuse_unclear_lines, refuse_unclear_message

if TYPE_CHECKING:
    from adctl.delivery.steps import Steps
    from daemons.direct import Reply, Route, Routes

log = structlog.get_logger()

# What chunks may add to a body, besides a quarter of it.
_FRAMING_BYTES = 4 << 10
# Headers kept, and the longest: some megabytes at most, whatever clients send.
_MOST_HEADERS = 2048
_LONGEST_HEADER = 2 << 10
# Of what was wrong with a message, its sender is told so much.
_TOLD = 100
# What a request's environment has of its connection or its body.
_ITS_OWN = frozenset(
    ("REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT", "wsgi.input", "waitress.client_disconnected")
)
_SET_ELSEWHERE = frozenset(("connection", "date", "server", "via"))


class Known:
    """What was read from a header: the parser's attributes, and an environment without _ITS_OWN.

    ``route`` answers its requests directly, if somebody does; it is asked for once.
    """

    __slots__ = ("_asked", "attributes", "environ", "route")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.environ: dict[str, Any] | None = None
        self.route: Route | None = None
        self._asked = False

    def find_route(self, routes: Routes, kept_body_bytes: int) -> Route | None:
        """Return the route. The first request with a header always goes the long way."""
        if not self._asked and self.environ is not None:
            self._asked = True
            told = self.attributes
            kept = told["headers"].get("CONNECTION", "keep-alive").lower() == "keep-alive"
            if kept and told["version"] == "1.1" and told["content_length"] <= kept_body_bytes:
                self.route = routes(self.environ)
        return self.route


class KeepAliveTask(WSGITask):  # type: ignore[misc]
    """A task that keeps the connection after an answer that may have no body.

    Stock waitress closes after every 204, because there is no Content-Length; but a 204 ends with
    its headers (RFC 9112, 6.3), so there is nothing a client could misread.
    """

    environ: dict[str, Any] | None = None
    wrote_header = False

    def set_close_on_finish(self) -> None:
        """Close only if the client asked for it, or could not tell where the answer ends."""
        connection = self.request.headers.get("CONNECTION", "").lower()
        if self.has_body or self.version != "1.1" or connection == "close":
            super().set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        known = self.request.known
        if known is None or self.environ is not None:
            return super().get_environment()  # type: ignore[no-any-return]
        if known.environ is None:
            whole: dict[str, Any] = super().get_environment()
            known.environ = {key: whole[key] for key in whole if key not in _ITS_OWN}
            return whole
        host, port, *_ = self.channel.addr
        self.environ = environ = {
            **known.environ,
            "REMOTE_ADDR": host,
            "REMOTE_HOST": host,
            "REMOTE_PORT": str(port),
            "wsgi.input": self.request.get_body_stream(),
            "waitress.client_disconnected": self.channel.check_client_disconnected,
        }
        return environ

    def build_response_header(self) -> bytes:
        """Return the status line and the headers; those of a plain answer without a detour."""
        if self.channel.server.draining:
            super().set_close_on_finish()
        told = {name.lower() for name, _ in self.response_headers}
        plain = self.version == "1.1" and "CONNECTION" not in self.request.headers
        delimited = "content-length" in told if self.has_body else not told & {"content-length"}
        if not plain or not delimited or self.close_on_finish or told & _SET_ELSEWHERE:
            return super().build_response_header()  # type: ignore[no-any-return]
        lines = "".join([f"{titled(name)}: {value}\r\n" for name, value in self.response_headers])
        date = http_date(int(self.start_time)).decode()
        return f"HTTP/1.1 {self.status}\r\n{lines}Date: {date}\r\n\r\n".encode("latin-1")

    def write(self, data: bytes) -> None:
        """Write the headers, if they are not out yet, and a part of the body."""
        whole = self.complete and not self.wrote_header and self.content_length == len(data)
        if not data or not whole or not self.has_body:
            super().write(data)
            return
        header = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(header + data)


class Unkept:
    """A buffer that forgets what it is given."""

    def append(self, data: bytes) -> None:
        """Forget ``data``."""

    def __len__(self) -> int:
        return 0

    def getfile(self) -> BytesIO:
        """Return an empty file."""
        return BytesIO()

    def close(self) -> None:
        """Part of waitress' interface; there is nothing to close."""


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request on its way in, of which no more is held than will be read.

    A body announced as longer than is kept arrives as an empty one, with its Content-Length: the
    app can refuse it, and the connection goes on. One in chunks does not say how long it will be:
    it is cut off, also when the chunks are so small that taking them apart is the work.
    """

    completed = False
    error: object = None
    known: Known | None = None
    # waitress names the path of a message that it could not read, too.
    path = query = fragment = ""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header; know by it what of the body to keep. Raises ParsingError."""
        known = self.adj.known_headers.get(header_plus)
        if known is None:
            self._read(header_plus)
            if self.fragment:
                # A client has none to send: a '#' that comes is somebody's '&#38;', not escaped.
                self.query = f"{self.query}#{self.fragment}"
            self._remember(header_plus)
        else:
            self._recall(known)
        if self.content_length > self.adj.kept_body_bytes:
            self.body_rcv = FixedStreamReceiver(self.content_length, Unkept())

    def received(self, data: bytes) -> int:
        """Take in ``data``; return how much of it belongs to this request."""
        consumed: int = super().received(data)
        if self.error:
            # Who is refused is not told to go on.
            self.expect_continue = False
        elif self.body_rcv is None and not self.completed:
            # A line end of another kind: who sent it believes to have said all.
            if has_bare_line_end(self.header_plus, len(data)):
                self.error = BadRequest("a line end other than CR LF")
                self.completed = True
        elif self.chunked and not self.completed:
            held = len(self.body_rcv)
            framing = self.body_bytes_received - held
            if held > self.adj.kept_body_bytes or framing > _FRAMING_BYTES + held // 4:
                self.error = RequestEntityTooLarge("too large, or in too many chunks")
                self.completed = True
        return consumed

    def _read(self, header_plus: bytes) -> None:
        try:
            refuse_unclear_lines(header_plus)
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented as exc:
            raise ParsingError(str(exc)) from exc
        except ParsingError as exc:
            raise ParsingError(str(exc)[:_TOLD]) from exc
        except ValueError as exc:
            # A length of thousands of digits, an address with half a bracket.
            raise ParsingError("a number or an address that cannot be read") from exc
        refuse_unclear_message(self.version, self.headers, chunked=self.chunked)

    def _remember(self, header_plus: bytes) -> None:
        headers = self.adj.known_headers
        if self.chunked or self.expect_continue or len(header_plus) > _LONGEST_HEADER:
            return
        if len(headers) >= _MOST_HEADERS:
            headers.clear()
        attributes = {name: value for name, value in vars(self).items() if name not in _OF_ONE}
        attributes["headers"] = self.headers.copy()
        self.known = headers[header_plus] = Known(attributes)

    def _recall(self, known: Known) -> None:
        self.__dict__.update(known.attributes)
        self.known = known
        self.headers = known.attributes["headers"].copy()
        if self.content_length > 0:
            buffer = OverflowableBuffer(self.adj.inbuf_overflow)
            self.body_rcv = FixedStreamReceiver(self.content_length, buffer)


# Attributes of a parser that are no other request's, whatever its header.
_OF_ONE = frozenset(("adj", "headers", "body_rcv", "header_plus", "header_bytes_received", "known"))


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection of a client."""

    task_class = KeepAliveTask
    parser_class = Parser
    requests: list[Parser]
    request: Parser | None = None
    last_activity: float
    creation_time: float
    total_outbufs_len: int
    arriving: Parser | None = None
    arriving_since = 0.0
    # When a request of its was last answered; 0 for never.
    answered_at = 0.0
    counted = False

    def is_stuck(self, now: float, first_byte_sec: float, idle_sec: float) -> bool:
        """Whether it has nothing under way, and has had its time: to begin, or to go on.

        Bytes that come now and then are no request, and give it no more time.
        """
        if self.requests or self.total_outbufs_len:
            return False
        if self.last_activity == self.creation_time:
            return now - self.creation_time > first_byte_sec
        return self.request is None and now - (self.answered_at or self.creation_time) > idle_sec

    def service(self) -> None:
        """Answer the first request."""
        super().service()
        self.answered_at = self.last_activity

    def del_channel(self, map: object = None) -> None:  # noqa: A002 - waitress' name
        """Be forgotten by the server."""
        self.server.leave(self)
        super().del_channel(map)

    def begin(self) -> Steps[None] | None:
        """Return the steps that answer the first request; None if it goes the long way, by service.

        A request that is already arriving behind it may wait to be told to go on, which is for the
        long way to do.
        """
        request = self.requests[0]
        known = request.known
        if known is None or self.request is not None or self.server.draining or not self.connected:
            return None
        route = known.find_route(self.server.routes, self.adj.kept_body_bytes)
        return None if route is None else self._steps(route, request)

    def _steps(self, route: Route, request: Parser) -> Steps[None]:
        received = request.body_rcv
        try:
            reply = yield from route(received.buf.get() if received is not None else b"")
        except Exception:
            log.exception("request failed")
            self.requests = []
            self.will_close = True
            return
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        """Send an answer, at once where nothing waits to be sent, and go on to the next request."""
        self.last_activity = self.answered_at = now = time.time()
        self.requests.pop(0)
        data = reply.sent_at(int(now))
        try:
            sent = 0 if self.total_outbufs_len else self.send(data, do_close=False)
            if sent < len(data):
                self.write_soon(data[sent:])
                # The next answer gets a buffer of its own, so that this one's memory is given back.
                self.current_outbuf_count = self.adj.outbuf_high_watermark
        except (OSError, ClientDisconnected):
            self.requests = []
            self.will_close = True
        if self.requests:
            self.server.add_task(self)
