"""Who holds connections without a use for them makes room for who comes."""

from __future__ import annotations

import errno
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from adctl.config_connections import ConnectionSettings
from daemons.serving import bind, make_server, serve
from daemons.turns import Turns
from tests.integration.test_channel import Echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 32

# A daemon answers in turns of its loop, or in threads.
BOTH = pytest.mark.parametrize("threads", [0, 2], ids=["turns", "threads"])


@contextmanager
def serving(
    threads: int = 0, app: Callable[..., object] | None = None, **settings: object
) -> Iterator[int]:
    """Serve with such ``[connections]``; the port."""
    sock, stop = bind("127.0.0.1", 0), threading.Event()
    turns = None if threads else Turns()
    connections = ConnectionSettings.model_validate({"most": MOST, **settings})
    server = make_server(
        app or Echo(), sock, threads=threads, dispatcher=turns, connections=connections
    )
    turn = turns.run if turns else None
    thread = threading.Thread(target=serve, args=(server, stop, turn, 60.0))
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        stop.set()
        thread.join()
        sock.close()


class Client:
    """A connection that is kept."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection(
            ("127.0.0.1", port), timeout=5, source_address=(address, 0)
        )

    def is_answered(self) -> bool:
        try:
            self.sock.sendall(GET)
            return self.sock.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.sock.sendall(data)

    def is_open(self) -> bool:
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.sock.settimeout(5)


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    with ExitStack() as closing:

        def connected(port: int, address: str = "127.0.0.1") -> Client:
            client = Client(port, address)
            closing.callback(client.sock.close)
            return client

        yield connected


@BOTH
def test_silent_connections_beyond_the_most_make_room(
    connect: Callable[..., Client], threads: int
) -> None:
    with serving(threads) as port:
        silent = [connect(port) for _ in range(10 * MOST)]
        began = time.monotonic()
        assert connect(port).is_answered()
        assert time.monotonic() - began < 1
        assert sum(one.is_open() for one in silent) <= MOST


@BOTH
def test_who_had_an_answer_stays_longer_than_who_never_asked(
    connect: Callable[..., Client], threads: int
) -> None:
    with serving(threads) as port:
        known = connect(port)
        assert known.is_answered()
        for _ in range(5):
            for _ in range(MOST):
                connect(port)
            assert known.is_answered()


def test_newcomer_is_answered_where_all_others_had_an_answer(
    connect: Callable[..., Client],
) -> None:
    with serving() as port:
        assert all(connect(port).is_answered() for _ in range(3 * MOST))


@BOTH
def test_a_byte_now_and_then_keeps_no_connection(
    connect: Callable[..., Client], threads: int
) -> None:
    with serving(threads) as port:
        slow = [connect(port) for _ in range(MOST)]
        known = connect(port)
        for byte in GET[:8]:
            for one in slow:
                one.send(bytes([byte]))
            assert known.is_answered()
            assert connect(port).is_answered()
        for _ in range(MOST):
            assert connect(port).is_answered()
        assert not any(one.is_open() for one in slow)


def test_who_is_silent_from_the_start_is_closed_soon_and_others_are_not(
    connect: Callable[..., Client],
) -> None:
    with serving(first_byte_sec=0.3) as port:
        known, silent = connect(port), connect(port)
        assert known.is_answered()
        assert silent.sock.recv(1) == b""
        assert known.is_answered()


def test_one_address_holds_so_many_and_the_newest_of_them_is_answered(
    connect: Callable[..., Client],
) -> None:
    with serving(per_address=4, trusted_proxies=[]) as port:
        neighbour = connect(port, "127.0.0.2")
        held = [connect(port) for _ in range(MOST)]
        assert held[-1].is_answered()
        assert sum(one.is_open() for one in held) <= 4
        assert neighbour.is_answered()


def test_trusted_proxy_holds_more_than_one_address_may(connect: Callable[..., Client]) -> None:
    with serving(per_address=4, trusted_proxies=["127.0.0.1/32"]) as port:
        held = [connect(port) for _ in range(12)]
        assert all(one.is_answered() for one in held)


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        self.asked.set()
        assert self.go_on.wait(10)
        start_response("200 OK", [("content-length", "0")])
        return []


def test_request_under_way_is_not_closed_for_a_newcomer(connect: Callable[..., Client]) -> None:
    app = Slow()
    with serving(2, app, per_address=1, trusted_proxies=[]) as port:
        first = connect(port)
        first.send(GET)
        assert app.asked.wait(5)
        assert connect(port).sock.recv(1) == b""
        app.go_on.set()
        assert first.sock.recv(4096).startswith(b"HTTP/1.1 200")


class Files:
    """A server whose accept finds no descriptor left, as often as it is asked."""

    def __init__(self) -> None:
        self.sock = bind("127.0.0.1", 0)
        self.turns = Turns()
        self.server = make_server(Echo(), self.sock, dispatcher=self.turns)
        self.asked = 0
        self.left = 0
        self._accept = self.server.accept
        self.server.accept = self.accept

    def accept(self) -> object:
        self.asked += 1
        if self.left == 0:
            raise OSError(errno.EMFILE, "Too many open files")
        self.left -= 1
        return self._accept()

    @contextmanager
    def serving(self) -> Iterator[int]:
        stop = threading.Event()
        thread = threading.Thread(target=serve, args=(self.server, stop, self.turns.run))
        thread.start()
        try:
            yield self.sock.getsockname()[1]
        finally:
            self.left = 100
            stop.set()
            thread.join()
            self.sock.close()


def test_accept_without_descriptors_is_tried_a_few_times_a_second_and_told_once(
    connect: Callable[..., Client],
) -> None:
    files = Files()
    with capture_logs() as logs, files.serving() as port:
        connect(port)
        time.sleep(1.5)
        assert 2 <= files.asked <= 8
    assert [line["event"] for line in logs] == ["connections cannot be accepted"]


def test_who_waited_for_a_descriptor_is_accepted_when_there_is_one(
    connect: Callable[..., Client],
) -> None:
    files = Files()
    with capture_logs(), files.serving() as port:
        waiting = connect(port)
        time.sleep(0.5)
        files.left = 100
        waiting.sock.sendall(GET)
        assert waiting.sock.recv(4096)
