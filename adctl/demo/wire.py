"""One kept-alive HTTP connection, to loopback and nowhere else."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

_TIMEOUT_SEC = 3.0


class Reply(NamedTuple):
    """An answer as it came; ``location`` is '' unless it redirects."""

    status: int
    body: bytes
    location: str

    @property
    def acknowledges(self) -> bool:
        """Whether the server has taken what it was told: 2xx or 3xx."""
        return 200 <= self.status < 400


class Wire:
    """A connection to ``host:port``, opened when needed. For one thread. Follows no redirect."""

    def __init__(self, host: str, port: int) -> None:
        self.netloc = f"{host}:{port}"
        self._connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SEC)

    def post(self, path: str, body: bytes) -> Reply | None:
        """Send ``body`` as JSON; None if there was no answer. Never sent twice."""
        return self._exchange("POST", path, body)

    def get(self, url: str) -> Reply | None:
        """Get ``url``, which must be at this wire's server; None if there was no answer.

        Repeated once if the kept connection turned out to be closed, as browsers do: what it asks
        for must not mind.
        """
        parts = urlsplit(url)
        if parts.netloc != self.netloc:
            raise ValueError(f"{parts.netloc} is not {self.netloc}")
        path = f"{parts.path}?{parts.query}"
        kept = self._connection.sock is not None
        reply = self._exchange("GET", path, None)
        return self._exchange("GET", path, None) if reply is None and kept else reply

    def _exchange(self, method: str, path: str, body: bytes | None) -> Reply | None:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return Reply(answer.status, answer.read(), answer.headers.get("Location", ""))
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
