"""The loop around waitress, on real sockets: what leans on its private parts is held here."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import falcon
import pytest

from adctl.errors import StoreUnavailableError
from adctl.stores.redis import Script
from adctl.stores.round_trip import HotConnection, RoundTrips
from daemons.serving import bind, make_server, serve
from daemons.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from adctl.stores.endpoints import Endpoints


ARRIVAL_TIMEOUT_SEC = 0.5
MAX_HEADER_BYTES = 4 << 10
KEPT_BODY_BYTES = 64 << 10


class Echo:
    """Answers 204, or what Redis says, as its path asks."""

    def __init__(self, round_trips: RoundTrips) -> None:
        self._round_trips = round_trips

    def on_post(self, req: falcon.Request, resp: falcon.Response, what: str) -> None:
        body = req.bounded_stream.read()
        if what == "silence":
            resp.status = falcon.HTTP_204
        elif what == "redis":
            resp.text = str(self._round_trips.get("greeting"))
        elif what == "fault":
            raise RuntimeError("a fault of the responder")
        else:
            resp.data = body


class Recorded(HotConnection):
    """A real connection that notes how many commands each round trip carried."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_ms=1000)
        self.sizes: list[int] = []

    def begin(self, commands: Sequence[Any]) -> Callable[[], list[Any]]:
        self.sizes.append(len(commands))
        return super().begin(commands)


class Site:
    """A server on a thread, and the ways to talk to it."""

    def __init__(self, connection: HotConnection) -> None:
        round_trips = RoundTrips(connection)
        app = falcon.App()
        app.add_route("/{what}", Echo(round_trips))
        self.sock = bind("127.0.0.1", 0)
        self.port = self.sock.getsockname()[1]
        self.turns = Turns(round_trips)
        self.stop = threading.Event()
        server = make_server(
            app,
            self.sock,
            dispatcher=self.turns,
            max_header_bytes=MAX_HEADER_BYTES,
            kept_body_bytes=KEPT_BODY_BYTES,
        )
        self.thread = threading.Thread(
            target=serve, args=(server, self.stop, self.turns.run, ARRIVAL_TIMEOUT_SEC)
        )

    def client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)


@contextmanager
def running(connection: HotConnection) -> Iterator[Site]:
    site = Site(connection)
    try:
        yield site
    finally:
        site.stop.set()
        site.thread.join(15)
        connection.close()
    assert not site.thread.is_alive()


def answer(client: socket.socket) -> bytes:
    """Everything up to the end of the body its headers announce."""
    text = b""
    while True:
        text += client.recv(4096)
        head, _, body = text.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if length and len(body) >= int(length[1]):
            return text


@pytest.fixture
def site(endpoints: Endpoints, redis_client: redis.Redis) -> Iterator[Site]:
    redis_client.set("greeting", "hello")
    with running(Recorded(endpoints.redis_url)) as site:
        site.thread.start()
        yield site


def post(client: http.client.HTTPConnection, path: str, body: bytes = b"") -> tuple[int, bytes]:
    client.request("POST", path, body)
    reply = client.getresponse()
    return reply.status, reply.read()


def test_connection_outlives_an_answer_without_a_body(site: Site) -> None:
    client = site.client()
    client.connect()
    sock = client.sock
    for _ in range(100):
        assert post(client, "/silence", b"x") == (204, b"")
    assert client.sock is sock
    client.close()


def test_connection_is_closed_when_the_client_asks(site: Site) -> None:
    client = site.client()
    client.request("POST", "/silence", headers={"Connection": "close"})
    assert client.getresponse().getheader("Connection") == "close"
    client.close()


def test_responder_gets_its_reply_from_redis(site: Site) -> None:
    client = site.client()
    assert post(client, "/redis") == (200, b"hello")
    client.close()


def test_fault_of_a_responder_harms_no_other_request(site: Site) -> None:
    client = site.client()
    assert post(client, "/fault")[0] == 500
    assert post(client, "/echo", b"still here") == (200, b"still here")
    client.close()


def test_requests_that_arrive_together_share_a_round_trip(
    endpoints: Endpoints, redis_client: redis.Redis
) -> None:
    redis_client.set("greeting", "hello")
    connection = Recorded(endpoints.redis_url)
    with running(connection) as site:
        clients = [socket.create_connection(("127.0.0.1", site.port), timeout=5) for _ in range(8)]
        for client in clients:
            client.sendall(b"POST /redis HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        site.thread.start()
        for client in clients:
            assert answer(client).endswith(b"hello")
            client.close()
    assert max(connection.sizes) > 1
    assert sum(connection.sizes) == 8


def test_request_under_way_is_answered_when_told_to_stop(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")
        time.sleep(0.3)
        site.stop.set()
        time.sleep(0.3)
        client.sendall(b"lf")
        assert answer(client).endswith(b"half")


def test_half_sent_request_has_its_connection_closed(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert client.recv(100) == b""


def test_connection_in_use_for_longer_than_a_request_may_take_is_kept(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            # Half a request is there whenever the server looks, but never the same.
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")
            time.sleep(0.1)
            client.sendall(b"lf")
            assert answer(client).endswith(b"half")


def test_body_over_the_limit_is_refused_unread(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n")
        assert b" 413 " in client.recv(4096)


def test_body_over_what_is_kept_arrives_as_none_and_the_connection_goes_on(site: Site) -> None:
    client = site.client()
    client.connect()
    sock = client.sock
    assert post(client, "/echo", b"x" * KEPT_BODY_BYTES) == (200, b"x" * KEPT_BODY_BYTES)
    assert post(client, "/echo", b"x" * (KEPT_BODY_BYTES + 1)) == (200, b"")
    assert post(client, "/echo", b"x" * (1 << 20)) == (200, b"")
    assert post(client, "/echo", b"small") == (200, b"small")
    assert client.sock is sock
    client.close()


CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "endless",
    [
        b"1000\r\n" + b"x" * 4096 + b"\r\n",
        b"1\r\nx\r\n" * 700,
        b"0" * 4096,
        b"0\r\n" + b"a: b\r\n" * 700,
    ],
    ids=["long", "chunks of a byte", "a number without an end", "a trailer without an end"],
)
def test_chunked_body_without_an_end_is_cut_off(site: Site, endless: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as client:
        client.sendall(CHUNKED)
        for _ in range(KEPT_BODY_BYTES // 4096 + 1):
            try:
                client.sendall(endless)
            except OSError:
                break
        assert b" 413 " in client.recv(4096)


def test_body_in_chunks_of_a_line_each_is_read(site: Site) -> None:
    client = site.client()
    client.request("POST", "/echo", (b"x" * 100 for _ in range(600)), encode_chunked=True)
    assert client.getresponse().read() == b"x" * 60_000
    client.close()


def test_header_over_the_limit_is_refused(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 680)
        assert b" 431 " in client.recv(4096)


def test_requests_in_a_row_on_one_connection_let_others_in_between(
    endpoints: Endpoints, redis_client: redis.Redis
) -> None:
    redis_client.set("greeting", "hello")
    connection = Recorded(endpoints.redis_url)
    with running(connection) as site:
        clients = [socket.create_connection(("127.0.0.1", site.port), timeout=5) for _ in range(2)]
        request = b"POST /redis HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        clients[0].sendall(request * 40)
        clients[1].sendall(request)
        site.thread.start()
        assert answer(clients[1]).endswith(b"hello")
        assert sum(connection.sizes) < 41
        for client in clients:
            client.close()


def test_unreachable_redis_fails_fast_and_is_not_asked_again_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    now = [0.0]
    connection = HotConnection(f"redis://127.0.0.1:{port}/0", 50, lambda: now[0])
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        connection.exchange([("PING",)])
    with pytest.raises(StoreUnavailableError, match="a moment ago"):
        connection.exchange([("PING",)])
    now[0] = 1.0
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        connection.exchange([("PING",)])


def test_stalled_redis_is_cut_off_within_its_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = HotConnection(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", 50)
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            connection.exchange([("PING",)])
        assert time.monotonic() - began < 1
        connection.close()


def test_error_of_one_command_leaves_its_neighbours_their_replies(endpoints: Endpoints) -> None:
    connection = HotConnection(endpoints.redis_url, 1000)
    replies = connection.exchange([("PING",), ("NO-SUCH-COMMAND",), ("PING",)])
    assert (replies[0], replies[2]) == ("PONG", "PONG")
    assert isinstance(replies[1], Exception)
    connection.close()


def test_script_missing_from_the_cache_is_sent_whole(
    endpoints: Endpoints, redis_client: redis.Redis
) -> None:
    redis_client.script_flush()
    connection = HotConnection(endpoints.redis_url, 1000)
    assert RoundTrips(connection).run(Script("roll_day"), ["nothing"], ["2026-01-01"]) == 0
    connection.close()
