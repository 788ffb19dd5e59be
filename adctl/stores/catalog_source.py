"""Where campaigns come from: Redis (L2), and the api (L3) for what Redis does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from adctl.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from adctl.models import Campaign
    from adctl.stores.catalog import CatalogStore
    from adctl.stores.catalog_api import CatalogApi

log = structlog.get_logger()

# More documents missing in Redis than this are asked for in one go.
_FEW = 20


class CatalogSource:
    """Reads campaigns that may be served. For one thread. Raises StoreUnavailableError."""

    def __init__(self, store: CatalogStore, api: CatalogApi) -> None:
        self._store = store
        self._api = api
        self._api_out = False

    def load(self, known: Mapping[int, Campaign]) -> dict[int, Campaign]:
        """Return every campaign that may be served.

        While the api is out, those whose documents have expired in Redis are taken from ``known``,
        the last load; that is better than to stop serving them.
        """
        ids = self._store.active_ids()
        if ids is None:
            return self._api.all()
        found = self._read(ids, known)
        missing = ids - found.keys()
        try:
            found |= self._ask(missing)
        except StoreUnavailableError as exc:
            self._log_api_out(exc)
            found |= {number: known[number] for number in missing & known.keys()}
        return found

    def load_one(self, campaign_id: int) -> Campaign | None:
        """Return a campaign after it changed; None if it may no longer be served."""
        found = self._read([campaign_id])
        if not found and campaign_id in (self._store.active_ids() or ()):
            found = self._ask({campaign_id})
        return found.get(campaign_id)

    def _ask(self, missing: Collection[int]) -> dict[int, Campaign]:
        if not missing:
            return {}
        if len(missing) > _FEW:
            answers = [
                campaign for number, campaign in self._api.all().items() if number in missing
            ]
        else:
            answers = [campaign for number in missing if (campaign := self._api.one(number))]
        self._api_out = False
        return {campaign.id: campaign for campaign in answers}

    def _read(
        self, ids: Collection[int], known: Mapping[int, Campaign] | None = None
    ) -> dict[int, Campaign]:
        try:
            return self._store.read(ids, known)
        except msgspec.MsgspecError as exc:
            if len(ids) == 1:
                log.warning("campaign document cannot be read", ids=list(ids), error=str(exc))
                return {}
        # One document nobody can read must not keep the others out.
        return {number: campaign for one in ids for number, campaign in self._read([one]).items()}

    def _log_api_out(self, exc: StoreUnavailableError) -> None:
        if not self._api_out:
            log.warning("api does not answer; expired campaigns are kept", error=str(exc))
        self._api_out = True
