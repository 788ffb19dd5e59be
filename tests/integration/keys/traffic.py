"""Bids and their events, without a pause: whatever is signed is told to every tracker."""

from __future__ import annotations

import http.client
import json
import re
import threading
from base64 import urlsafe_b64decode
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.integration.bidder.calling import JSON, REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_URL = re.compile(r"https://[^\s\"'<>]+/track/(impression|click)\?t=[^\s\"'<>&]+")


class Traffic:
    """What became of the calls so far."""

    def __init__(self, bidder_port: int, tracker_ports: Sequence[int]) -> None:
        self._bidder_port = bidder_port
        self._tracker_ports = tracker_ports
        self._numbers = count()
        self._stop = threading.Event()
        self.refused: list[str] = []
        self.told: list[str] = []
        self.keys: set[int] = set()
        self.unbid = 0

    def run(self) -> None:
        """Bid and tell until stopped."""
        while not self._stop.is_set():
            self.once()

    def once(self) -> None:
        """Have one bid made, and tell all of its events."""
        number = next(self._numbers)
        body = json.dumps({**REQUEST, "id": f"r-{threading.get_ident()}-{number}"})
        status, answer, _ = _call(self._bidder_port, "POST", "/bid-request", body)
        if status != 200:
            self.unbid += 1
            return
        markup = json.loads(answer)["seatbid"][0]["bid"][0]["adm"].replace("&amp;", "&")
        urls = {found[1]: found[0] for found in _URL.finditer(markup)}
        self.keys.add(key_of(urls["impression"]))
        self._tell("impression", urls["impression"])
        for landing in self._tell("click", urls["click"]):
            click_id = landing.partition("click=")[2]
            self._tell("conversion", f"http://t/track/conversion?t={click_id}")

    def _tell(self, kind: str, url: str) -> list[str]:
        """Tell every tracker, as a browser would that tries again; return where it leads."""
        parts = urlsplit(url)
        places = []
        for port in self._tracker_ports:
            status, body, place = _call(port, "GET", f"{parts.path}?{parts.query}")
            places.append(place)
            if status not in (200, 302):
                self.refused.append(f"{kind} at {port}: {status} {body!r}")
        self.told.append(kind)
        return places if kind == "click" else []

    def stop(self) -> None:
        self._stop.set()


def key_of(url: str) -> int:
    """The id of the key that a URL's token is signed with: its second byte."""
    return urlsafe_b64decode(url.partition("t=")[2][:4])[1]


@contextmanager
def flowing(bidder_port: int, tracker_ports: Sequence[int], threads: int = 2) -> Iterator[Traffic]:
    """Have traffic while the block runs."""
    traffic = Traffic(bidder_port, tracker_ports)
    running = [threading.Thread(target=traffic.run) for _ in range(threads)]
    for one in running:
        one.start()
    try:
        yield traffic
    finally:
        traffic.stop()
        for one in running:
            one.join()


def _call(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, JSON if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Location", "")
    finally:
        connection.close()
