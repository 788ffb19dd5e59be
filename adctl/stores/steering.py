"""What the pacer reads of campaigns' live counts, and what it tells bidders."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from adctl.models import EventKind, Factors
from adctl.stores import keys
from adctl.stores.pieces import PIECE, pieces, scan_hash
from adctl.stores.redis import redis_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import redis


class LiveCounts(NamedTuple):
    """Events of a campaign, as the tracker's script counts them."""

    impressions: int = 0
    clicks: int = 0
    conversions: int = 0


_KINDS = (EventKind.IMPRESSION, EventKind.CLICK, EventKind.CONVERSION)


def _sum(by_shard: Iterable[Sequence[str | None]]) -> LiveCounts:
    counts = (tuple(int(count or 0) for count in reply) for reply in by_shard)
    return LiveCounts(*(sum(of_kind) for of_kind in zip(*counts, strict=True)))


class SteeringStore:
    """Live counts and factors in Redis. Safe to share between threads."""

    def __init__(self, client: redis.Redis, shards: int = 1) -> None:
        self._redis = client
        self._shards = shards
        self._encode = msgspec.json.Encoder().encode

    def live_counts(self, campaign_ids: Iterable[int]) -> dict[int, LiveCounts]:
        """Return each campaign's counts; zeros for one that nothing has happened to."""
        counts: dict[int, LiveCounts] = {}
        for some in pieces(campaign_ids, max(1, PIECE // self._shards)):
            with redis_errors("read live counts"):
                pipeline = self._redis.pipeline(transaction=False)
                for campaign_id in some:
                    for shard in range(self._shards):
                        pipeline.hmget(keys.counters(shard, campaign_id), _KINDS)
                replies = iter(pipeline.execute())
            counts |= {number: _sum(islice(replies, self._shards)) for number in some}
        return counts

    def write(self, factors: Mapping[int, Factors]) -> None:
        """Make these the factors in force; campaigns that are not among them lose theirs."""
        with redis_errors("write factors"):
            before = scan_hash(self._redis, keys.FACTORS)
            texts = {str(number): self._encode(one).decode() for number, one in factors.items()}
            changed = {field: text for field, text in texts.items() if before.get(field) != text}
            for stale in pieces(before.keys() - texts.keys()):
                self._redis.hdel(keys.FACTORS, *stale)
            for some in pieces(changed.items()):
                self._redis.hset(keys.FACTORS, items=[part for pair in some for part in pair])

    def read(self, campaign_ids: Iterable[int]) -> dict[int, Factors]:
        """Return the factors in force of those campaigns that have any."""
        found: dict[int, Factors] = {}
        for wanted in pieces(map(str, campaign_ids)):
            with redis_errors("read factors"):
                documents = self._redis.hmget(keys.FACTORS, wanted)
            found |= {
                int(number): msgspec.json.decode(document, type=Factors)
                for number, document in zip(wanted, documents, strict=True)
                if document
            }
        return found
