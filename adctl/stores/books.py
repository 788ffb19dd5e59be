"""The books in Redis, read so that they can be checked while bids and events go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from adctl.errors import AdctlError, StoreUnavailableError
from adctl.stores import keys
from adctl.stores.budgets import SHARD, BudgetState
from adctl.stores.pieces import pieces, scan_hash
from adctl.stores.redis import Script, redis_errors
from adctl.stores.stream import EventStream, UnusableEntryError, id_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import redis

# Campaigns read by one script, and amounts of theirs in buckets: Redis does nothing else meanwhile,
# for about a millisecond.
_AT_ONCE = 50
_AMOUNTS_AT_ONCE = 1_000
_READ = 1000
_ATTEMPTS = 5


class BooksMovedOnError(AdctlError):
    """The stream no longer holds what follows the position that was asked for."""


class CampaignBooks(NamedTuple):
    """One campaign's money at one moment, in nanos; ``state`` is None where Redis has none.

    ``reserved`` and ``exposed`` are the sums over the buckets of bids, which the state's own must
    equal; ``unflushed`` is the cost of its events that the ledger does not know yet. ``fields`` are
    the budget hash as it is.
    """

    campaign_id: int
    state: BudgetState | None
    reserved: int
    exposed: int
    unflushed: int
    fields: dict[str, str]


class BookReader:
    """Reads the books of one shard."""

    def __init__(self, client: redis.Redis, shard: int = SHARD) -> None:
        self._redis = client
        self._shard = shard
        self._stream = EventStream(client, shard)
        self._script = Script("read_books")

    def read(self, campaign_ids: Iterable[int], flushed_id: str) -> list[CampaignBooks]:
        """Return each campaign's books; ``unflushed`` is what the stream has after ``flushed_id``.

        Raises BooksMovedOnError if entries after ``flushed_id`` are gone from the stream: whoever
        stood there has moved on, or is not who wrote them down.
        """
        wanted = sorted(campaign_ids)
        chunks = list(pieces(wanted, self._at_once()))
        for _ in range(_ATTEMPTS):
            exposed = self._exposed()
            snapshots = [self._snapshot(chunk) for chunk in chunks]
            last_id = max((last for last, _ in snapshots), key=id_order, default=flushed_id)
            costs = self._costs(flushed_id, last_id)
            if id_order(self._stream.trimmed_id()) > id_order(flushed_id):
                raise BooksMovedOnError(f"the stream is forgotten beyond {flushed_id}")
            # Buckets are not read in the same moment: expiries and late wins are rare, and read
            # again.
            if self._exposed() == exposed:
                return [
                    _books(number, found, exposed.get(number, 0), costs.get(number, []), last)
                    for (last, chunk), ids in zip(snapshots, chunks, strict=True)
                    for number, found in zip(ids, chunk, strict=True)
                ]
        raise StoreUnavailableError("Redis: the books change faster than they can be read")

    def _at_once(self) -> int:
        with redis_errors("count the buckets of bids"):
            buckets = self._redis.scard(keys.buckets(self._shard))
        return max(1, min(_AT_ONCE, _AMOUNTS_AT_ONCE // max(1, buckets)))

    def _snapshot(self, ids: Sequence[int]) -> tuple[str, list[Any]]:
        last_id, *found = self._script.run(
            self._redis,
            [
                keys.events(self._shard),
                keys.buckets(self._shard),
                *(keys.budget(self._shard, campaign_id) for campaign_id in ids),
            ],
            [keys.reservations(self._shard, ""), *ids],
        )
        return last_id, found

    def _costs(self, after_id: str, last_id: str) -> dict[int, list[tuple[str, int]]]:
        costs: dict[int, list[tuple[str, int]]] = {}
        while id_order(after_id) < id_order(last_id):
            entries = self._stream.read(after_id, _READ)
            if not entries:
                break
            for entry in entries:
                try:
                    event = entry.decode()
                except UnusableEntryError:
                    continue
                # What was rejected costs where it waits, until it is booked.
                if event.cost_nanos and not entry.retried:
                    costs.setdefault(event.campaign_id, []).append((entry.id, event.cost_nanos))
            after_id = entries[-1].id
        return costs

    def _exposed(self) -> dict[int, int]:
        with redis_errors("read what is exposed"):
            batches = sorted(self._redis.smembers(keys.exposed_batches(self._shard)))
            found = [
                scan_hash(self._redis, keys.exposed(self._shard, str(batch))) for batch in batches
            ]
        sums: dict[int, int] = {}
        for amounts in found:
            for campaign_id, nanos in amounts.items():
                sums[int(campaign_id)] = sums.get(int(campaign_id), 0) + int(nanos)
        return sums


def _books(
    campaign_id: int,
    found: tuple[list[str], list[str]],
    exposed: int,
    costs: list[tuple[str, int]],
    last_id: str,
) -> CampaignBooks:
    flat, amounts = found
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    upto = id_order(last_id)
    return CampaignBooks(
        campaign_id,
        BudgetState.from_hash(fields) if fields else None,
        sum(int(amount) for amount in amounts),
        exposed,
        sum(nanos for stream_id, nanos in costs if id_order(stream_id) <= upto),
        fields,
    )
