"""Where a click leads: from memory, from the catalog in Redis, or from the api."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

import msgspec

from adctl.errors import NotFoundError, StoreUnavailableError
from adctl.models import Campaign, Creative
from adctl.stores import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_KEPT = 10_000
# A changed landing page is followed after this long at most.
_FRESH_SEC = 30.0


class GetKey(Protocol):
    """Whatever reads one string key."""

    def get(self, key: str) -> str | None:
        """Return the value, or None. Raises StoreUnavailableError."""


class LandingPages:
    """Landing pages by creative. An old one is better than none, so it is kept for outages."""

    def __init__(
        self,
        redis: GetKey,
        api_url: str,
        api_timeout_sec: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._api_url = api_url
        self._api_timeout_sec = api_timeout_sec
        self._clock = clock
        self._pages: OrderedDict[int, tuple[str, float]] = OrderedDict()

    def landing_url(self, campaign_id: int, creative_id: int) -> str:
        """Return a creative's landing page, also of one that no longer serves.

        Raises NotFoundError if there is no such creative, StoreUnavailableError if nobody who
        would know answers.
        """
        if not self._fresh(creative_id):
            self._remember(self._from_catalog(campaign_id))
        if not self._fresh(creative_id):
            self._ask_api(creative_id)
        return self._pages[creative_id][0]

    def _fresh(self, creative_id: int) -> bool:
        known = self._pages.get(creative_id)
        return known is not None and self._clock() - known[1] < _FRESH_SEC

    def _ask_api(self, creative_id: int) -> None:
        try:
            self._remember([self._from_api(creative_id)])
        except StoreUnavailableError:
            if creative_id not in self._pages:
                raise

    def _remember(self, creatives: Iterable[Creative]) -> None:
        for creative in creatives:
            self._pages[creative.id] = (creative.landing_url, self._clock())
            self._pages.move_to_end(creative.id)
        while len(self._pages) > _KEPT:
            self._pages.popitem(last=False)

    def _from_catalog(self, campaign_id: int) -> tuple[Creative, ...]:
        try:
            text = self._redis.get(keys.campaign(campaign_id))
        except StoreUnavailableError:
            return ()
        return msgspec.json.decode(text, type=Campaign).creatives if text else ()

    def _from_api(self, creative_id: int) -> Creative:
        url = f"{self._api_url}/catalog/creatives/{creative_id}"
        try:
            with urllib.request.urlopen(url, timeout=self._api_timeout_sec) as reply:  # noqa: S310 - our own api's URL
                return msgspec.json.decode(reply.read(), type=Creative)
        except urllib.error.HTTPError as exc:
            if exc.code == 404:
                raise NotFoundError(f"no creative {creative_id}") from exc
            raise StoreUnavailableError(f"the api answered {exc.code}") from exc
        except (OSError, msgspec.DecodeError) as exc:
            raise StoreUnavailableError(f"the api did not answer: {exc}") from exc
