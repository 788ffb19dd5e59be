"""Posting to URLs that people typed in: one attempt, to a public address, no redirects followed.

One deadline holds for all of an attempt: to look up the name, connect, agree on keys, send, and
read the answer, whether it comes at once or a byte at a time. urllib3 and its like know timeouts of
one step only, so the steps are made here.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from adctl import __version__
from adctl.stores.public_addresses import carried, is_public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from adctl.stores.public_addresses import Address

_ANSWER_BYTES = 200
# Names being looked up at once. One that takes longer than its delivery goes on for a while.
_LOOKUPS = 64


class UndeliverableError(Exception):
    """The post did not come to an answer; the message says why."""


class Answer(NamedTuple):
    """What a receiver answered: HTTP's status, and the beginning of the body."""

    status: int
    text: str


class WebhookPoster:
    """Posts. Safe to share between threads; every call has a connection of its own.

    ``networks`` may be posted to though they are not public. ``look_up`` is getaddrinfo.
    """

    def __init__(
        self,
        timeout_sec: float,
        networks: Iterable[str] = (),
        look_up: Callable[..., Sequence[Any]] = socket.getaddrinfo,
    ) -> None:
        self._timeout_sec = timeout_sec
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._look_up = look_up
        self._lookups = threading.BoundedSemaphore(_LOOKUPS)
        self._tls = ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer, whatever its status. Raises UndeliverableError, within the timeout."""
        deadline = _Deadline(self._timeout_sec)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        addresses = self._addresses_of(host, port, deadline)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        all_headers = {"User-Agent": f"adctl/{__version__}", **headers, "Host": parts.netloc}
        try:
            sock = _connected(addresses, port, deadline)
            with closing(sock):
                if parts.scheme == "https":
                    sock.settimeout(deadline.left_sec())
                    sock = self._tls.wrap_socket(sock, server_hostname=host)
                with closing(sock):
                    return _asked(_TimedSocket(sock, deadline), target, body, all_headers)
        except (http.client.HTTPException, OSError, ValueError) as exc:
            raise UndeliverableError(f"{type(exc).__name__}: {exc}"[:_ANSWER_BYTES]) from exc

    def _addresses_of(self, host: str, port: int, deadline: _Deadline) -> list[Address]:
        try:
            found = self._looked_up(host, port, deadline)
        except (OSError, UnicodeError) as exc:
            raise UndeliverableError(f"{host} has no address: {exc}") from exc
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        if refused := [one for one in addresses if not self._may_post_to(one)]:
            raise UndeliverableError(
                f"{host} is at {refused[0]}, which is no public address (webhooks.networks)"
            )
        return addresses

    def _looked_up(self, host: str, port: int, deadline: _Deadline) -> Sequence[Any]:
        """Look up a name in a thread of its own: the resolver cannot be told how long it may take.

        Raises TimeoutError, and what the resolver does.
        """
        results: queue.SimpleQueue[Sequence[Any] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                results.put(self._look_up(host, port, type=socket.SOCK_STREAM))
            except Exception as exc:  # noqa: BLE001 - raised where it was asked for
                results.put(exc)
            finally:
                self._lookups.release()

        if not self._lookups.acquire(timeout=deadline.left_sec()):
            raise TimeoutError("timed out: too many names are being looked up")
        threading.Thread(target=look_up, name="webhook-name", daemon=True).start()
        try:
            found = results.get(timeout=deadline.left_sec())
        except queue.Empty:
            raise TimeoutError("timed out") from None
        if isinstance(found, Exception):
            raise found
        return found

    def _may_post_to(self, address: Address) -> bool:
        named = (address, carried(address))
        return is_public(address) or any(one in net for one in named for net in self._networks)


class _Deadline:
    """A moment by which all has to be done."""

    def __init__(self, timeout_sec: float) -> None:
        self._at = time.monotonic() + timeout_sec

    def left_sec(self) -> float:
        """Return what is left until then. Raises TimeoutError if nothing is."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def _connected(addresses: Sequence[Address], port: int, deadline: _Deadline) -> socket.socket:
    """Connect to the very addresses that were looked at: a name may lead elsewhere, asked again.

    To the next one if one does not take the connection within its share of the time.
    """
    failure: OSError = OSError("no address")
    for place, address in enumerate(addresses):
        share = deadline.left_sec() / (len(addresses) - place)
        try:
            return socket.create_connection((str(address), port), timeout=share)
        except OSError as exc:
            failure = exc
    raise failure


def _asked(sock: _TimedSocket, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    # Given a socket, it opens none of its own; it only writes and reads HTTP.
    connection = http.client.HTTPConnection("")
    connection.sock = sock
    connection.request("POST", target, body, dict(headers))
    answer = connection.getresponse()
    try:
        text = answer.read1(_ANSWER_BYTES).decode("utf-8", "replace")
    except (http.client.HTTPException, OSError):
        # It has said what counts.
        text = ""
    return Answer(answer.status, text)


class _TimedSocket:
    """As much of a socket as http.client needs, with a deadline over all of its calls."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        left = memoryview(data)
        while left:
            self._sock.settimeout(self._deadline.left_sec())
            left = left[self._sock.send(left) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file to read from."""
        return io.BufferedReader(_TimedReading(self._sock, self._deadline))

    def close(self) -> None:
        """Leave the socket to whoever made it."""


class _TimedReading(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left_sec())
        return self._sock.recv_into(buffer)


def is_loopback(host: str) -> bool:
    """Return whether a URL's host is this machine, by its name or its number alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
