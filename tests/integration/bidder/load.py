"""Clients of a bidder that never rest, and what becomes of their requests."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.integration.bidder.calling import BODY, JSON

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 8


class Load:
    """Clients that send request after request, each on a connection it keeps while it may."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered = [0] * CONNECTIONS
        self.failed = [0] * CONNECTIONS
        self.refused = threading.Event()
        self.stop = threading.Event()

    def send(self, number: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        while not self.stop.is_set():
            try:
                if client.sock is None:
                    client.connect()
            except OSError:
                # Nobody listens, so nothing was sent.
                self.refused.set()
                return
            try:
                client.request("POST", "/bid-request", BODY, JSON)
                answer = client.getresponse()
                answer.read()
                (self.answered if answer.status in (200, 204) else self.failed)[number] += 1
            except (OSError, http.client.HTTPException):
                self.failed[number] += 1
                client.close()
        client.close()

    def go_on(self) -> None:
        """Return when everybody has been answered a few times more."""
        after = min(self.answered)
        while min(self.answered) < after + 20:
            time.sleep(0.01)


@contextmanager
def under_load(port: int) -> Iterator[Load]:
    load = Load(port)
    threads = [threading.Thread(target=load.send, args=(n,)) for n in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    while min(load.answered) < 5:
        time.sleep(0.01)
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join()
