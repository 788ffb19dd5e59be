"""The catalog in Redis: what may be served, as bidders read it, and the word of every change."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.errors import StoreUnavailableError
from adctl.models import Campaign
from adctl.stores import keys
from adctl.stores.compacting import compacted
from adctl.stores.pieces import pieces, scan_set
from adctl.stores.redis import redis_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import redis

# The member of keys.ACTIVE that says the set is whole. Without it, a set that a single change
# began after Redis lost its memory would look like a catalog of one campaign.
_WHOLE = "0"
_CONFIRM_SEC = 2.0
# Each takes three or four commands, which Redis does together.
_PUBLISHED_TOGETHER = 50


class Known(NamedTuple):
    """A document as it was read, and the campaign it holds."""

    document: str
    campaign: Campaign


class CatalogStore:
    """Campaign documents in Redis. Safe to share between threads. Raises StoreUnavailableError."""

    def __init__(self, client: redis.Redis, ttl_sec: int = 3600) -> None:
        self._redis = client
        self._ttl_sec = ttl_sec
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Campaign).decode

    def ping(self) -> None:
        """Return if Redis answers."""
        with redis_errors("ask it anything"):
            self._redis.ping()

    def publish(self, campaign: Campaign, serving: bool) -> None:
        """Write a changed campaign through and announce it; repeating it changes nothing.

        One that does not serve is taken out. The announcement comes after the write, in the same
        transaction of Redis, so whoever hears it reads what it speaks of.
        """
        self.publish_all([(campaign, serving)])

    def publish_all(self, documents: Iterable[tuple[Campaign, bool]]) -> None:
        """Publish many: each campaign with whether it is serving, as ``publish`` does."""
        for some in pieces(documents, _PUBLISHED_TOGETHER):
            with redis_errors("publish campaigns"):
                pipeline = self._redis.pipeline(transaction=True)
                for campaign, serving in some:
                    if serving:
                        document = self._encode(campaign)
                        pipeline.set(keys.campaign(campaign.id), document, ex=self._ttl_sec)
                        pipeline.sadd(keys.ACTIVE, campaign.id)
                    else:
                        pipeline.delete(keys.campaign(campaign.id))
                        pipeline.srem(keys.ACTIVE, campaign.id)
                    pipeline.publish(keys.CHANGES, campaign.id)
                pipeline.execute()

    def active_ids(self) -> set[int] | None:
        """Return the ids of all campaigns that may be served; None if Redis does not know them.

        None asks for a fill. An empty set is an answer: there are no such campaigns.
        """
        with redis_errors("read the active campaigns"):
            members = scan_set(self._redis, keys.ACTIVE)
        if _WHOLE not in members:
            return None
        return {int(member) for member in members} - {int(_WHOLE)}

    def read(
        self, campaign_ids: Iterable[int], known: Mapping[int, Campaign] | None = None
    ) -> dict[int, Campaign]:
        """Return the documents there are; those that expired or were never written are left out.

        A campaign that is as it was in ``known`` is the very object that is there, so that a
        catalog that is read again and again takes the room of one.
        """
        found: dict[int, Campaign] = {}
        known = known or {}
        for chunk in pieces(campaign_ids):
            with redis_errors("read campaigns"):
                documents = self._redis.mget([keys.campaign(number) for number in chunk])
            for number, document in zip(chunk, documents, strict=True):
                if document:
                    campaign, before = self._decode(document), known.get(number)
                    found[number] = before if before == campaign else compacted(campaign)
        return found

    def read_again(
        self, campaign_ids: Iterable[int], known: Mapping[int, Known]
    ) -> dict[int, Known]:
        """Return the documents as ``read`` does, and decode only those that are not as ``known``.

        For whoever reads them every second.
        """
        found: dict[int, Known] = {}
        for chunk in pieces(campaign_ids):
            with redis_errors("read campaigns"):
                documents = self._redis.mget([keys.campaign(number) for number in chunk])
            for number, document in zip(chunk, documents, strict=True):
                if document:
                    before = known.get(number)
                    if before is None or before.document != document:
                        before = Known(str(document), compacted(self._decode(document)))
                    found[number] = before
        return found

    def store(self, campaigns: Iterable[Campaign]) -> None:
        """Write documents that had expired. Announces nothing: nothing has changed."""
        for chunk in pieces(campaigns):
            with redis_errors("write campaigns"):
                pipeline = self._redis.pipeline(transaction=False)
                for campaign in chunk:
                    document = self._encode(campaign)
                    pipeline.set(keys.campaign(campaign.id), document, ex=self._ttl_sec)
                pipeline.execute()

    def fill(self, campaigns: Collection[Campaign]) -> None:
        """Write the whole catalog: these campaigns may be served and no others."""
        self.store(campaigns)
        self.set_active(campaign.id for campaign in campaigns)

    def set_active(self, campaign_ids: Iterable[int]) -> None:
        """Let these campaigns be served and no others; their documents are there.

        Readers see each campaign as it was or as it is now, and of a catalog that Redis had lost
        nothing before it is whole. The caller keeps changes from coming in between
        (adctl.control.publishing holds a lock in PostgreSQL).
        """
        wanted = set(map(str, campaign_ids))
        with redis_errors("write the active campaigns"):
            known = scan_set(self._redis, keys.ACTIVE)
            for missing in pieces(wanted - known):
                self._redis.sadd(keys.ACTIVE, *missing)
            for gone in pieces(known - wanted - {_WHOLE}):
                self._redis.srem(keys.ACTIVE, *gone)
            self._redis.sadd(keys.ACTIVE, _WHOLE)

    def changes(self, wait_sec: float = 1.0) -> Iterator[int | None]:
        """Yield the id of each campaign that changes; None after ``wait_sec`` without one.

        The first value is None, once subscribed: what is read after it misses no change. Changes
        are lost while Redis is unreachable, which ends this with StoreUnavailableError: subscribe
        again and read the whole catalog.
        """
        with redis_errors("listen for changes"), closing(self._redis.pubsub()) as subscription:
            subscription.subscribe(keys.CHANGES)
            if subscription.get_message(timeout=_CONFIRM_SEC) is None:
                raise StoreUnavailableError("Redis: the subscription to changes was not confirmed")
            yield None
            while True:
                message = subscription.get_message(timeout=wait_sec)
                if message is None:
                    yield None
                elif message["type"] == "message":
                    yield int(message["data"])
