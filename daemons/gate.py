"""A socket that several workers accept from, each its share of the connections.

An exchange keeps its connections for hours, so whoever accepts one has its requests from then on;
and the kernel gives a new one to whoever asks first, be it twice as busy as the rest. Here a worker
that has more connections than another lets that one go first, for a moment.
"""

from __future__ import annotations

import mmap
import select
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

# How long a connection may wait for a worker that has fewer, and how long that was good for.
_PATIENCE_SEC = 0.005
_WAITED_SEC = 0.1
_MOST_WORKERS = 512
_ABSENT = -1


class Tally:
    """How many connections each worker has, in memory that a process shares with its children."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 8 * _MOST_WORKERS)).cast("q")
        for number in range(_MOST_WORKERS):
            self.leave(number)

    def note(self, number: int, connections: int) -> None:
        """Tell what a worker has; one beyond the most there is room for is not counted."""
        if number < _MOST_WORKERS:
            self._counts[number] = connections

    def leave(self, number: int) -> None:
        """Tell that a worker accepts nothing any more."""
        self.note(number, _ABSENT)

    def anyone_below(self, connections: int) -> bool:
        """Return whether a worker that is there has fewer connections than that."""
        return any(_ABSENT < count < connections for count in self._counts)


class Gate:
    """The socket as one worker has it. Made before the fork, used after it, by one thread."""

    def __init__(self, sock: socket.socket, tally: Tally, number: int) -> None:
        self.sock = sock
        self._tally = tally
        self._number = number
        self._waits_until = 0.0
        self._closing = False
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def guard(self, server: Any) -> None:
        """Make a server accept through this gate."""
        readable, accept_one = server.readable, server.accept_one

        def may_accept() -> bool:
            if not self._closing:
                self._tally.note(self._number, len(server.active_channels))
            # Asked whatever it answers: it also closes connections that have been silent too long.
            return bool(readable()) and not self.waits_sec

        def accept_in_turn() -> bool:
            connections = len(server.active_channels)
            if not self._closing:
                # Several are accepted in a row: what this worker had before is nobody else's.
                self._tally.note(self._number, connections)
                # Nor is it waited for nobody: that would be the wait that somebody later needs.
                if not self._poll.poll(0) or self._lets_others_go_first(connections):
                    return False
            return bool(accept_one())

        server.readable, server.accept_one = may_accept, accept_in_turn

    def close(self) -> None:
        """Leave new connections to others, but for those that are accepted all the same."""
        self._tally.leave(self._number)
        self._closing = True

    @property
    def waits_sec(self) -> float:
        """For how long nothing will be accepted."""
        return max(0.0, self._waits_until - time.monotonic())

    def _lets_others_go_first(self, connections: int) -> bool:
        now = time.monotonic()
        if now - self._waits_until < _WAITED_SEC:
            self._waits_until = 0.0
            return False
        if not self._tally.anyone_below(connections):
            return False
        self._waits_until = now + _PATIENCE_SEC
        return True
