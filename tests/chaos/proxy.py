"""A TCP proxy between a program and a store, which on command hangs up, or lets nothing through."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 65_536


class Line:
    """One client's connection, and the server's end of it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._ends = (client, server)
        self.deaf = False

    def hang_up(self) -> None:
        """Reset both ends: nothing that was still on its way arrives."""
        for end in self._ends:
            end.transport.abort()


class FaultyProxy:
    """Passes bytes between any number of clients and one server, until told otherwise.

    Runs in a thread of its own; the methods may be called from any. What it loses is lost as in a
    network that fails: the server has done what it was asked, and nobody is told. What it holds
    back in a partition arrives when that is over, as TCP sees to: also a command that its sender
    has long given up on.
    """

    def __init__(self, port: int, upstream_port: int) -> None:
        self.port = port
        self._upstream_port = upstream_port
        self._lines: set[Line] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self._whole = asyncio.Event()
        self._whole.set()
        self._healing: asyncio.TimerHandle | None = None
        self.lost_bytes = 0
        # When nothing got through, by the monotonic clock.
        self.silences: list[tuple[float, float]] = []

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._listener = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)

    def stop(self) -> None:
        """Hang up on everybody and be gone."""
        self._do(self._close)
        asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Hang up on everybody, in the middle of whatever they say."""
        self._do(self._cut)

    def lose_replies(self, seconds: float) -> None:
        """Swallow what the server says for ``seconds``, then hang up on those it was meant for."""

        def begin() -> None:
            lines = tuple(self._lines)
            for line in lines:
                line.deaf = True
            self._loop.call_later(seconds, lambda: [line.hang_up() for line in lines])

        self._do(begin)

    def partition(self, seconds: float) -> None:
        """Let nothing through for ``seconds``, and refuse nothing: whoever asks hears nothing."""

        def begin() -> None:
            self._whole.clear()
            if self._healing is not None:
                self._healing.cancel()
            self._healing = self._loop.call_later(seconds, heal)

        def heal() -> None:
            self.silences.append((began, time.monotonic()))
            self._whole.set()

        began = time.monotonic()
        self._do(begin)

    def _do(self, what: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _cut(self) -> None:
        for line in tuple(self._lines):
            line.hang_up()

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._whole.set()
        self._cut()

    async def _serve(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        if not self._whole.is_set():
            # Its handshake would not have come through: nothing it says is ever heard.
            await self._whole.wait()
            to_client.transport.abort()
            return
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            to_client.transport.abort()
            return
        line = Line(to_client, to_server)
        self._lines.add(line)
        # Cancelled, it is over, and asyncio would say of a cancelled connection that it failed.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pass_on(from_client, to_server, lambda: False),
                self._pass_on(from_server, to_client, lambda: line.deaf),
            )
        self._lines.discard(line)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        swallows: Callable[[], bool],
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._whole.wait()
                if swallows():
                    self.lost_bytes += len(chunk)
                    continue
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()


async def _end_others() -> None:
    """End every task but this one, so that none is left pending when the loop is closed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
