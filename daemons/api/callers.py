"""Who may call the api: nobody by a name that is not its own, and no foreign web page.

The api asks for no password, so that whoever can connect may change campaigns. A web page that an
operator visits can make the browser connect: it may send requests without a body, or with one of a
simple type, to any address; and its own name may come to mean ours (DNS rebinding), whereupon the
browser lets it read the answers as well. In the first case ``Origin`` names the page, in the second
``Host`` does.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import urlsplit

import falcon

if TYPE_CHECKING:
    from falcon import Request, Response

    from adctl.config_daemon import ApiSettings

_SETTING = "api.hosts (ADCTL_API_HOSTS)"
_LOOPBACK = "localhost"
_SHOWN = 100
# What a browser says of a request that a page of another site made, other than by a link.
_FOREIGN_SITES = frozenset({"cross-site", "same-site"})


class Place(NamedTuple):
    """A host and port as a header names it. Every name of the loopback is one."""

    host: str
    port: int | None


class Callers:
    """Falcon's middleware that refuses foreign requests of every method and path with 403."""

    def __init__(self, settings: ApiSettings) -> None:
        names = (settings.host, *settings.hosts)
        self._named = frozenset(_same(name) for name in names if name)
        self._hosts = self._named | {_LOOPBACK}

    def process_request(self, req: Request, _resp: Response) -> None:
        """Raise falcon's 403 unless the request is for us, and from no foreign page."""
        host = req.get_header("Host")
        place = _place(host or "")
        if place is None or place.host not in self._hosts:
            _refuse("Host", host)
        origin = req.get_header("Origin")
        if origin is not None:
            if not self._is_ours(origin, place):
                _refuse("Origin", origin)
        elif (site := req.get_header("Sec-Fetch-Site")) in _FOREIGN_SITES and (
            req.get_header("Sec-Fetch-Mode") != "navigate"
        ):
            _refuse("Sec-Fetch-Site", site)

    def _is_ours(self, origin: str, reached: Place) -> bool:
        """Whether a page is the api's own, or of a host that was configured."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https"):
            return False
        place = _place(parts.netloc)
        if place is None or parts.path or parts.query or parts.fragment:
            return False
        return place == reached or place.host in self._named - {_LOOPBACK}


def _refuse(header: str, told: str | None) -> NoReturn:
    shown = "missing" if told is None else repr(told[:_SHOWN])
    raise falcon.HTTPForbidden(
        title=f"refused for its {header}, {shown}",
        description=f"hosts that the api goes by, and whose pages may call it, stand in {_SETTING}",
    )


def _place(text: str) -> Place | None:
    """Return what a Host header, or the rest of an Origin, names; None if it is none."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.netloc != text or "@" in text:
        return None
    return Place(_same(host), port)


def _same(host: str) -> str:
    """Return a name in the one form that is compared."""
    name = host.lower().removesuffix(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name
    return _LOOPBACK if address.is_loopback else str(address)
