"""The books of all shards as those of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.stores.books import BookReader, CampaignBooks
from adctl.stores.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import redis

# Shards are not read in the same moment, and money may move between them meanwhile.
_ATTEMPTS = 5


class ShardedBookReader:
    """Reads the books of every shard, one after the other, and adds them up."""

    def __init__(self, client: redis.Redis, shards: int) -> None:
        self._readers = [BookReader(client, shard) for shard in range(shards)]

    def read(self, campaign_ids: Iterable[int], flushed_ids: Sequence[str]) -> list[CampaignBooks]:
        """Return each campaign's books; ``flushed_ids`` say where the ledger is in each stream.

        Raises BooksMovedOnError, StoreUnavailableError.
        """
        ids = list(campaign_ids)
        if len(self._readers) == 1:
            return self._readers[0].read(ids, flushed_ids[0])
        for attempt in range(_ATTEMPTS):
            by_shard = [
                reader.read(ids, flushed_id)
                for reader, flushed_id in zip(self._readers, flushed_ids, strict=True)
            ]
            found = [_together(parts) for parts in zip(*by_shard, strict=True)]
            if attempt == _ATTEMPTS - 1 or all(settled for _, settled in found):
                break
        return [books for books, _ in found]


def _together(parts: Sequence[CampaignBooks]) -> tuple[CampaignBooks, bool]:
    """Return a campaign's books, and whether its shards were read in one state of transfers."""
    shares = Shares.of([part.fields for part in parts])
    books = CampaignBooks(
        parts[0].campaign_id,
        shares.whole() if shares else None,
        sum(part.reserved for part in parts),
        sum(part.exposed for part in parts),
        sum(part.unflushed for part in parts),
        parts[0].fields,
    )
    return books, shares is None or shares.add_up
