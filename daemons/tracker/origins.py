"""Browsers' scripts on other sites' pages: they may tell events, and hear that they were taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon

if TYPE_CHECKING:
    from falcon import Request, Response


class AnyOrigin(falcon.CORSMiddleware):  # type: ignore[type-arg]
    """Lets pages of any origin call ``resources``; all else (metrics, health) stays as it is.

    With credentials, though nothing here reads any: ``navigator.sendBeacon`` always sends as if
    there were some, and a browser then takes no ``*`` for an answer.
    """

    def __init__(self, *resources: type) -> None:
        super().__init__(allow_credentials="*")
        self._resources = resources

    def process_response(
        self, req: Request, resp: Response, resource: object, req_succeeded: bool
    ) -> None:
        """Say so in an answer to one that comes from a page."""
        if "HTTP_ORIGIN" in req.env and isinstance(resource, self._resources):
            super().process_response(req, resp, resource, req_succeeded)
            resp.append_header("Vary", "Origin")
