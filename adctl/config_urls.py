"""Addresses of stores as people write them in the configuration."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")

ENCODED = "a password's characters other than letters and digits as %XX"
"""What to say of an account in a URL."""


def is_server_url(text: str, schemes: tuple[str, ...], *, strictly_encoded: bool = False) -> bool:
    """Return whether a text is a server's URL of one of ``schemes``, with a host.

    A password with a ``/``, ``?`` or ``#`` that is not written as %XX ends where it does not seem
    to, and drivers quote what they made of the rest in their errors; so does ``strictly_encoded``
    for a ``%``.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return False
    return usable and not (strictly_encoded and _STRAY_PERCENT.search(text))


def is_redis_cluster(url: str) -> bool:
    """Return whether a Redis URL says that it is a cluster's."""
    return url.partition("://")[0] in _CLUSTER_SCHEMES


def redis_node_urls(url: str) -> list[str]:
    """Return a plain Redis URL for each server a URL names: one, but for a cluster's.

    A cluster's lists some of its nodes: ``redis+cluster://user:password@host:port,host:port``.
    Raises ValueError for a cluster's that names a database: a cluster has only one.
    """
    if not is_redis_cluster(url):
        return [url]
    parts = urlsplit(url)
    if parts.path not in ("", "/", "/0"):
        raise ValueError("a cluster has no databases to choose from")
    account, at, hosts = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    return [
        f"{_CLUSTER_SCHEMES[parts.scheme]}://{account}{at}{host}/0{query}"
        for host in hosts.split(",")
    ]


def at_address(node_url: str, host: str, port: int) -> str:
    """Return a plain Redis URL's account and options, at another node of its cluster."""
    parts = urlsplit(node_url)
    account, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=f"{account}{at}{shown}:{port}").geturl()


def address_of(node_url: str) -> tuple[str, int]:
    """Return the host and port of a plain Redis URL."""
    parts = urlsplit(node_url)
    return parts.hostname or "", parts.port or 6379
