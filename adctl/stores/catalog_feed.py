"""Keeps a process's catalog (L1) current, whatever happens to Redis and the api."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import structlog

from adctl.config_ceiling import max_cpm_micros
from adctl.delivery.catalog import Catalog
from adctl.errors import ConfigError, StoreUnavailableError
from adctl.models import Factors
from adctl.stores import keys
from adctl.stores.catalog import CatalogStore
from adctl.stores.catalog_api import CatalogApi
from adctl.stores.catalog_source import CatalogSource
from adctl.stores.pieces import scan_hash
from adctl.stores.redis import connect, redis_errors
from adctl.stores.shard_count import require_shards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adctl.config import Settings
    from adctl.models import Campaign

log = structlog.get_logger()

# How long the feed sits in one wait for a change, and so how long stop() may take.
_WAIT_SEC = 0.25
_FACTORS_EVERY_SEC = 1.0
_FIRST_PAUSE_SEC = 0.25
_LONGEST_PAUSE_SEC = 5.0
# A catalog not refreshed for this many intervals is no longer good to decide on.
_STALE_AFTER_REFRESHES = 10
_NEVER = float("-inf")
# What comes of a campaign no validation let through; OSError: a zone with the name of a folder.
_UNUSABLE = (ValueError, LookupError, OSError)


class CatalogFeed:
    """A thread that loads the catalog, then follows changes; readers take ``current``.

    A change that is announced is in the catalog within milliseconds; factors within a second;
    everything within ``catalog.refresh_sec``, should an announcement be lost. While Redis or the
    api is away the last catalog stays. Start it in the process that reads it: threads do not
    survive a fork. Any thread may read ``current``, ``ready`` and ``age_sec``.
    """

    def __init__(self, redis_url: str, settings: Settings) -> None:
        self._redis = connect(redis_url, settings.redis)
        self._store = CatalogStore(self._redis)
        self._source = CatalogSource(self._store, CatalogApi(settings.api.host, settings.api.port))
        self._shards = settings.redis.shards
        self._refresh_sec = settings.catalog.refresh_sec
        self._max_micros = max_cpm_micros(settings.bidder.max_cpm)
        self._catalog = Catalog.build(default_max_micros=self._max_micros)
        self._documents: dict[int, Campaign] = {}
        self._factor_texts: dict[str, str] = {}
        self._factors: dict[int, Factors] = {}
        self._refreshed_at = self._factors_at = _NEVER
        self._pause_sec = _FIRST_PAUSE_SEC
        self._out = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalog-feed", daemon=True)

    def start(self) -> None:
        """Begin loading; returns at once. Once per feed."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and hang up. The last catalog stays readable."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._redis.close()

    @property
    def current(self) -> Catalog:
        """The catalog to decide on; empty until the first one has been loaded."""
        return self._catalog

    @property
    def age_sec(self) -> float:
        """Seconds since the whole catalog was last made current; infinite before the first time."""
        return time.monotonic() - self._refreshed_at

    @property
    def ready(self) -> bool:
        """Whether there is a catalog that is not too old to decide on."""
        return self.age_sec < self._refresh_sec * _STALE_AFTER_REFRESHES

    def require_ready(self) -> None:
        """Raise StoreUnavailableError unless ready."""
        if not self.ready:
            age = "not loaded yet" if self.age_sec == -_NEVER else f"{self.age_sec:.0f} s old"
            raise StoreUnavailableError(f"the catalog is {age}: Redis or the api does not answer")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (StoreUnavailableError, ConfigError) as exc:
                self._log_outage(error=str(exc))
            except Exception as exc:  # noqa: BLE001 - a feed that died would leave a stale catalog
                self._log_outage(exc_info=exc)
            self._stopping.wait(self._pause_sec)
            self._pause_sec = min(self._pause_sec * 2, _LONGEST_PAUSE_SEC)

    def _follow(self) -> None:
        # Before any bid is made in the wrong shard.
        require_shards(self._redis, self._shards)
        # What changed while nobody listened was announced to nobody: read everything again.
        refresh_at = _NEVER
        for changed in self._store.changes(_WAIT_SEC):
            if self._stopping.is_set():
                return
            if changed is not None:
                self._apply(changed)
            if time.monotonic() - self._factors_at >= _FACTORS_EVERY_SEC:
                self._poll_factors()
            if time.monotonic() >= refresh_at:
                self._refresh()
                refresh_at = self._refreshed_at + self._refresh_sec

    def _refresh(self) -> None:
        documents = self._source.load(self._documents)
        if documents != self._documents or not len(self._catalog):
            self._documents = documents
            catalog = self._build(documents)
            catalog.prepare(time.time_ns() // 1_000_000)
            self._catalog = catalog
            # The collector would go through all of it again and again, and hold up requests.
            gc.freeze()
        self._refreshed_at = time.monotonic()
        self._pause_sec = _FIRST_PAUSE_SEC
        if self._out:
            self._out = False
            log.info("catalog is followed again", campaigns=len(self._catalog))

    def _apply(self, campaign_id: int) -> None:
        campaign = self._source.load_one(campaign_id)
        if campaign is None:
            self._documents.pop(campaign_id, None)
            self._catalog = self._catalog.without_campaign(campaign_id)
        else:
            self._documents[campaign_id] = campaign
            self._catalog = _with(self._catalog, campaign)

    def _build(self, documents: Mapping[int, Campaign]) -> Catalog:
        try:
            return Catalog.build(documents.values(), self._factors, self._max_micros)
        except _UNUSABLE:
            catalog = Catalog.build((), self._factors, self._max_micros)
            for campaign in documents.values():
                catalog = _with(catalog, campaign)
            return catalog

    def _poll_factors(self) -> None:
        with redis_errors("read the factors"):
            texts = scan_hash(self._redis, keys.FACTORS)
        # Who has lost its factors is neutral again.
        changed = {int(number): Factors() for number in self._factor_texts.keys() - texts.keys()}
        changed |= {
            int(number): factors
            for number, text in texts.items()
            if self._factor_texts.get(number) != text and (factors := _factors(number, text))
        }
        if changed:
            self._factors |= changed
            self._catalog = self._catalog.with_factors(changed)
        self._factor_texts = texts
        self._factors_at = time.monotonic()

    def _log_outage(self, **why: object) -> None:
        if not self._out:
            log.warning("catalog cannot be followed; the last one stays", **why)
        self._out = True


def _with(catalog: Catalog, campaign: Campaign) -> Catalog:
    try:
        return catalog.with_campaign(campaign)
    except _UNUSABLE as exc:
        log.warning("campaign is left out of the catalog", campaign=campaign.id, error=repr(exc))
        return catalog.without_campaign(campaign.id)


def _factors(number: str, text: str) -> Factors | None:
    try:
        return msgspec.json.decode(text, type=Factors)
    except msgspec.MsgspecError as exc:
        log.warning("factors cannot be read", campaign=number, error=str(exc))
        return None
