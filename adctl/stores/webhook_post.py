"""Posting to URLs that people typed in: one attempt, to a public address, no redirects followed."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import urllib3

from adctl import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# These carry an IPv4 address, which may be any.
_TUNNELS = [ipaddress.ip_network(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32")]
_ANSWER_BYTES = 200


class UndeliverableError(Exception):
    """The post did not come to an answer; the message says why."""


class Answer(NamedTuple):
    """What a receiver answered: HTTP's status, and the beginning of the body."""

    status: int
    text: str


class WebhookPoster:
    """Posts. Safe to share between threads; every call has a connection of its own.

    ``networks`` may be posted to though they are not public.
    """

    def __init__(self, timeout_sec: float, networks: Iterable[str] = ()) -> None:
        self._timeout = urllib3.Timeout(total=timeout_sec, connect=timeout_sec / 2)
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer, whatever its status. Raises UndeliverableError."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = self._address_of(host, port)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with self._connect(parts.scheme, address, port, host) as connection:
                answer = connection.urlopen(
                    "POST",
                    target,
                    body=body,
                    headers={"User-Agent": f"adctl/{__version__}", **headers, "Host": parts.netloc},
                    redirect=False,
                    retries=False,
                    preload_content=False,
                )
                text = answer.read(_ANSWER_BYTES).decode("utf-8", "replace")
                return Answer(answer.status, text)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise UndeliverableError(f"{type(exc).__name__}: {exc}"[:_ANSWER_BYTES]) from exc

    def _connect(
        self, scheme: str, address: str, port: int, host: str
    ) -> urllib3.HTTPConnectionPool:
        # To the very address that was looked at: asked again, a name may lead elsewhere.
        if scheme == "https":
            return urllib3.HTTPSConnectionPool(
                address, port, timeout=self._timeout, server_hostname=host, assert_hostname=host
            )
        return urllib3.HTTPConnectionPool(address, port, timeout=self._timeout)

    def _address_of(self, host: str, port: int) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise UndeliverableError(f"{host} has no address: {exc}") from exc
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        if refused := [one for one in addresses if not self._may_post_to(one)]:
            raise UndeliverableError(
                f"{host} is at {refused[0]}, which is no public address (webhooks.networks)"
            )
        return str(addresses[0])

    def _may_post_to(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks):
            return True
        tunnelled = any(address in tunnel for tunnel in _TUNNELS)
        return address.is_global and not address.is_multicast and not tunnelled


def is_loopback(host: str) -> bool:
    """Return whether a URL's host is this machine, by its name or its number alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
