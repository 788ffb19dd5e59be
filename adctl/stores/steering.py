"""What the pacer reads of campaigns' live counts, and what it tells bidders."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.models import EventKind, Factors
from adctl.stores import keys
from adctl.stores.budgets import SHARD
from adctl.stores.redis import redis_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import redis


class LiveCounts(NamedTuple):
    """Events of a campaign, as the tracker's script counts them."""

    impressions: int = 0
    clicks: int = 0
    conversions: int = 0


_KINDS = (EventKind.IMPRESSION, EventKind.CLICK, EventKind.CONVERSION)


class SteeringStore:
    """Live counts and factors in Redis. Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._encode = msgspec.json.Encoder().encode

    def live_counts(self, campaign_ids: Iterable[int]) -> dict[int, LiveCounts]:
        """Return each campaign's counts; zeros for one that nothing has happened to."""
        wanted = list(campaign_ids)
        with redis_errors("read live counts"):
            pipeline = self._redis.pipeline(transaction=False)
            for campaign_id in wanted:
                pipeline.hmget(keys.counters(SHARD, campaign_id), _KINDS)
            replies = pipeline.execute()
        return {
            campaign_id: LiveCounts(*(int(count or 0) for count in reply))
            for campaign_id, reply in zip(wanted, replies, strict=True)
        }

    def write(self, factors: Mapping[int, Factors]) -> None:
        """Make these the factors in force; campaigns that are not among them lose theirs."""
        with redis_errors("write factors"):
            stale = {int(field) for field in self._redis.hkeys(keys.FACTORS)} - factors.keys()
            pipeline = self._redis.pipeline(transaction=True)
            if stale:
                pipeline.hdel(keys.FACTORS, *map(str, stale))
            if factors:
                pipeline.hset(
                    keys.FACTORS,
                    items=[
                        part
                        for number, one in factors.items()
                        for part in (str(number), self._encode(one))
                    ],
                )
            pipeline.execute()

    def read(self, campaign_ids: Iterable[int]) -> dict[int, Factors]:
        """Return the factors in force of those campaigns that have any."""
        wanted = [str(campaign_id) for campaign_id in campaign_ids]
        if not wanted:
            return {}
        with redis_errors("read factors"):
            documents = self._redis.hmget(keys.FACTORS, wanted)
        return {
            int(number): msgspec.json.decode(document, type=Factors)
            for number, document in zip(wanted, documents, strict=True)
            if document
        }
