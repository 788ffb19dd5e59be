from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from adctl.control.load import Endpoint, post_steadily
from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Answer = Callable[[bytes], Awaitable[bytes]]

NO_BID = b"HTTP/1.1 204 No Content\r\n\r\n"
BID = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def server(answer: Answer) -> Iterator[Endpoint]:
    """Serve in a thread; an empty answer hangs up."""
    told: Future[tuple[int, Callable[[], object]]] = Future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                reply = await answer(await reader.readexactly(length))
                # In two pieces, as networks do.
                writer.write(reply[:20])
                await asyncio.sleep(0)
                writer.write(reply[20:])
                if not reply or reply is LAST:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        told.set_result((port, lambda: loop.call_soon_threadsafe(stop.set)))
        await stop.wait()
        listening.close()
        # Who hung up is seen to.
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    port, end = told.result(10)
    try:
        yield Endpoint("127.0.0.1", port, "/bid-request")
    finally:
        end()
        thread.join()


def always(told: bytes) -> Answer:
    async def answer(_body: bytes) -> bytes:
        return told

    return answer


def test_bids_and_no_bids_are_counted_apart() -> None:
    async def answer(body: bytes) -> bytes:
        return BID if body == b"bid" else NO_BID

    with server(answer) as endpoint:
        told = post_steadily(endpoint, [b"bid", b"none", b"none"], 300, 0.5, 4)
    assert (told.bids, told.no_bids, told.failed) == (50, 100, 0)


def test_a_server_that_stands_still_is_charged_for_every_request_meanwhile() -> None:
    seen = 0

    async def answer(_body: bytes) -> bytes:
        nonlocal seen
        seen += 1
        if seen == 1:
            await asyncio.sleep(0.5)
        return NO_BID

    with server(answer) as endpoint:
        told = post_steadily(endpoint, [b"x"], 100, 1, 1)
    assert told.answered == 100
    assert told.p50_ms > 5
    assert told.max_ms >= 500


def test_answers_of_another_status_are_errors_by_their_status() -> None:
    with server(always(BROKEN)) as endpoint:
        told = post_steadily(endpoint, [b"x"], 200, 0.1, 2)
    assert told.errors == {"status 500": 20}


def test_a_connection_that_ends_with_an_answer_is_replaced_and_fails_nothing() -> None:
    with server(always(LAST)) as endpoint:
        told = post_steadily(endpoint, [b"x"], 100, 0.3, 2)
    assert (told.bids, told.failed) == (30, 0)


def test_a_connection_that_ends_without_one_fails_its_request_only() -> None:
    async def answer(body: bytes) -> bytes:
        return b"" if body == b"die" else NO_BID

    with server(answer) as endpoint:
        told = post_steadily(endpoint, [b"x"] * 9 + [b"die"], 100, 0.5, 4)
    assert (told.no_bids, told.errors) == (45, {"connection lost": 5})


@pytest.mark.parametrize("told", [b"-ERR what\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"x" * 100_000])
def test_answers_that_are_no_http_are_errors_of_their_own(told: bytes) -> None:
    with server(always(told)) as endpoint:
        assert post_steadily(endpoint, [b"x"], 20, 0.5, 2).errors == {"no HTTP": 10}


def test_nobody_listening_is_said() -> None:
    with pytest.raises(StoreUnavailableError, match=r"nobody answers on 127\.0\.0\.1:1: Conn"):
        post_steadily(Endpoint("127.0.0.1", 1, "/"), [b"x"], 10, 1)


def test_it_ends_when_it_is_told_to() -> None:
    with server(always(NO_BID)) as endpoint:
        told = post_steadily(endpoint, [b"x"], 500, 60, going=lambda _sent: False)
    assert told.answered < 500
