"""``/catalog``: what bidders and trackers ask for when Redis does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adctl.control.catalog import creative_document, serving_campaign, serving_campaigns

if TYPE_CHECKING:
    import falcon
    from falcon import Request, Response

    from adctl.control.plane import ControlPlane


class WholeCatalog:
    """``GET /catalog``."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def on_get(self, _req: Request, resp: Response) -> None:
        """Answer with every campaign that may be served, and fill Redis with them."""
        resp.data = msgspec.json.encode(serving_campaigns(self._plane))


class CatalogCampaign:
    """``GET /catalog/{id}``."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def on_get(self, _req: Request, resp: Response, ref: int) -> None:
        """Answer with a campaign that may be served, else 404."""
        resp.data = msgspec.json.encode(serving_campaign(self._plane, ref))


class CatalogCreative:
    """``GET /catalog/creatives/{id}``."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def on_get(self, _req: Request, resp: Response, ref: int) -> None:
        """Answer with a creative, whatever its status."""
        resp.data = msgspec.json.encode(creative_document(self._plane, ref))


def add_catalog_routes(app: falcon.App[Request, Response], plane: ControlPlane) -> None:
    """Give ``app`` the catalog's paths."""
    identifier = "{ref:int(min=1, max=2147483647)}"
    app.add_route("/catalog", WholeCatalog(plane))
    app.add_route(f"/catalog/{identifier}", CatalogCampaign(plane))
    app.add_route(f"/catalog/creatives/{identifier}", CatalogCreative(plane))
