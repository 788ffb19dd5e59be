"""The api daemon's catalog over HTTP: what a bidder asks when Redis does not know."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

import msgspec
import structlog

from adctl.errors import StoreUnavailableError
from adctl.models import Campaign

log = structlog.get_logger()

_OK, _NOT_FOUND = 200, 404
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - not bound here


class CatalogApi:
    """``GET /catalog`` and ``GET /catalog/{id}``; one connection per call, no retries.

    Both calls make the api fill Redis. Raises StoreUnavailableError when there is no usable answer.
    """

    def __init__(self, host: str, port: int, timeout_sec: float = 5.0) -> None:
        self._host = _EVERY_ADDRESS.get(host, host)
        self._port = port
        self._timeout_sec = timeout_sec
        self._decode = msgspec.json.Decoder(Campaign).decode
        self._decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def all(self) -> dict[int, Campaign]:
        """Return every campaign that may be served. Documents that cannot be read are left out."""
        status, body = self._get("/catalog")
        if status != _OK:
            raise StoreUnavailableError(f"api: GET /catalog was answered {status}")
        try:
            documents = self._decode_list(body)
        except msgspec.MsgspecError as exc:
            raise StoreUnavailableError(f"api: /catalog is not a list of campaigns: {exc}") from exc
        campaigns = filter(None, map(self._campaign, documents))
        return {campaign.id: campaign for campaign in campaigns}

    def one(self, campaign_id: int) -> Campaign | None:
        """Return a campaign that may be served; None if there is none, or it cannot be read."""
        status, body = self._get(f"/catalog/{campaign_id}")
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise StoreUnavailableError(f"api: GET /catalog/{campaign_id} was answered {status}")
        return self._campaign(body)

    def _campaign(self, document: bytes | msgspec.Raw) -> Campaign | None:
        try:
            return self._decode(document)
        except msgspec.MsgspecError as exc:
            log.warning("campaign document cannot be read", error=str(exc))
            return None

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout_sec)
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as exc:
            raise StoreUnavailableError(
                f"api: {self._host}:{self._port} did not answer {path}: {exc}"
            ) from exc
        finally:
            connection.close()
