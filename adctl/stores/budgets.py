"""Campaign money in Redis, as the control plane, the pacer and the CLI handle it.

Reserving happens in the bidder's script (decide.lua), settling in the tracker's (track.lua).
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from adctl.errors import AdctlError, StoreUnavailableError
from adctl.models import Campaign
from adctl.stores import keys
from adctl.stores.pieces import hash_pieces, pieces
from adctl.stores.redis import Script, redis_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import redis

    from adctl.stores.redis import Call

# The first shard; where there is one only, all there is.
SHARD = 0
# What sync_budget.lua says it has done.
MADE, CHANGED, LOST, MOVED_ON, OTHER_SERVER = 1, 2, -1, -2, -3
_ANY = "*"
# Redis does nothing else while it looks for as many.
_LOOKED_FOR = 200
# Campaigns whose bids of a bucket are given back by one script: some 30 microseconds each.
_GIVEN_BACK = 25
# Campaigns whose money is made in one round trip.
_SYNCED_TOGETHER = 50


class LedgerMovedOnError(AdctlError):
    """The ledger has more than it was read with, and the stream no longer holds that."""


class Streamed(NamedTuple):
    """What a campaign's events cost, in nanos, of one stream up to ``upto_id``; and what came late.

    None of it is in the ledger.
    """

    nanos: int
    late_nanos: int
    upto_id: str


class Spent(NamedTuple):
    """What a campaign spent, in nanos: ever, on its day, and ever but late.

    It is what the ledger says, and what events cost that were rejected and are to be booked yet.

    ``flushed_ids`` say up to where each shard's stream had been flushed at that moment, and
    ``confirmed`` what the generation of each shard must say: it is not spent in another server.
    None: in whatever server there is, and though it was read before what is there. ``streamed`` is
    what each shard's stream holds beyond that, where it has been read; else the script reads it.
    """

    nanos: int = 0
    day_nanos: int = 0
    late_nanos: int = 0
    flushed_ids: tuple[str, ...] = ()
    confirmed: tuple[str, ...] | None = None
    streamed: tuple[Streamed, ...] = ()

    def counted(self, shard: int) -> tuple[int, int, int, str]:
        """Return what to begin with in a shard: spent, on the day, late, and up to which entry."""
        if self.streamed:
            of = self.streamed[shard]
            late_nanos = self.late_nanos + of.late_nanos
            return self.nanos + of.nanos, self.day_nanos + of.nanos, late_nanos, of.upto_id
        flushed_id = self.flushed_ids[shard] if self.flushed_ids else "0-0"
        return self.nanos, self.day_nanos, self.late_nanos, flushed_id


NOTHING_SPENT = Spent()


class Wanted(NamedTuple):
    """A campaign whose budgets Redis is to hold, the day it is there, and what it spent."""

    campaign: Campaign
    day: date
    spent: Spent


class BudgetState(msgspec.Struct, frozen=True):
    """One campaign's money at one moment, in nanos; ``day`` is in the campaign's zone."""

    budget: int
    available: int
    reserved: int
    spent: int
    day: str
    day_budget: int
    day_available: int
    day_spent: int
    late: int
    exposed: int = 0
    cut: int = 0

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> Self:
        """Return the state a budget hash holds. Raises ValueError or KeyError on a broken one."""
        numbers = {
            name: int(fields[name])
            for name in cls.__struct_fields__
            if name != "day" and name in fields
        }
        return cls(day=fields["day"], **numbers)

    @property
    def adds_up(self) -> bool:
        """Whether both invariants hold: of the flight and of the day."""
        flight = self.spent + self.reserved + self.available == self.budget
        return flight and self.day_spent + self.reserved + self.day_available == self.day_budget


class Budgets:
    """Campaign money in one shard. Safe to share between threads; every change is one script."""

    shards = 1

    def __init__(self, client: redis.Redis, shard: int = SHARD) -> None:
        self.client = self._redis = client
        self._shard = shard
        self._sync = Script("sync_budget")
        self._roll = Script("roll_day")
        self._expire = Script("expire_bucket")
        self._retire = Script("retire_batch")
        self._have_all = Script("have_all")

    def sync(
        self, campaign: Campaign, day: date, spent: Spent = NOTHING_SPENT, *, anew: bool = False
    ) -> bool:
        """Make Redis hold the campaign's budgets; True if its money was made.

        Only then does ``spent`` count, with what the streams hold beyond it. A state that is there
        knows better, unless it is of another server, or is to be made ``anew`` because it is known
        to be wrong; reservations are then counted again.

        Raises LedgerMovedOnError where ``spent`` is too old to make it from, StoreUnavailableError
        also where the server is another than was confirmed.
        """
        call = self._call_of(campaign, day, spent, anew)
        return done_of(self._sync.run(self._redis, *call)) == MADE

    def sync_each(self, wanted: Sequence[Wanted], *, anew: bool = False) -> list[Campaign]:
        """Do as ``sync`` does with each; return those for which the ledger had moved on.

        Raises StoreUnavailableError; repeating it all is safe.
        """
        behind: list[Campaign] = []
        for some in pieces(wanted, _SYNCED_TOGETHER):
            calls = [self._call_of(*one, anew) for one in some]
            replies = self._sync.run_all(self._redis, calls)
            for one, reply in zip(some, replies, strict=True):
                try:
                    done_of(reply)
                except LedgerMovedOnError:
                    behind.append(one.campaign)
        return behind

    def _call_of(self, campaign: Campaign, day: date, spent: Spent, anew: bool) -> Call:
        budgets = campaign.total_budget_nanos, campaign.daily_budget_nanos
        return self.sync_call(campaign.id, budgets, day, spent, int(anew))

    def sync_call(
        self,
        campaign_id: int,
        budgets: tuple[int, int],
        day: date,
        spent: Spent,
        *rest: str | int,
    ) -> Call:
        """Return the keys and arguments of sync_budget.lua for this shard; amounts with the day's.

        ``rest`` is what that script says of its arguments from the thirteenth on.
        """
        shard = self._shard
        *amounts, counted_id = spent.counted(shard)
        return (
            [
                keys.budget(shard, campaign_id),
                keys.events(shard),
                keys.buckets(shard),
                keys.exposed_batches(shard),
                keys.wanting(shard),
                keys.trimmed(shard),
                keys.generation(shard),
            ],
            [
                *budgets,
                day.isoformat(),
                *amounts,
                counted_id,
                campaign_id,
                keys.reservations(shard, ""),
                keys.exposed(shard, ""),
                _ANY if spent.confirmed is None else spent.confirmed[shard],
                ",".join(spent.flushed_ids),
                *rest,
            ],
        )

    def rebalance(self, campaign_ids: Iterable[int] = ()) -> int:
        """Bring money to where it is wanted; one shard has none to bring it from."""
        del campaign_ids
        return 0

    def roll_day(self, campaign_id: int, day: date) -> bool:
        """Begin ``day`` for a campaign; False if it had begun. Reservations are kept."""
        key = keys.budget(self._shard, campaign_id)
        return bool(self._roll.run(self._redis, [key], [day.isoformat()]))

    def read(self, campaign_ids: Iterable[int]) -> dict[int, BudgetState]:
        """Return the state of each campaign that has one."""
        found: dict[int, BudgetState] = {}
        for some in pieces(campaign_ids):
            with redis_errors("read budgets"):
                pipeline = self._redis.pipeline(transaction=False)
                for campaign_id in some:
                    pipeline.hgetall(keys.budget(self._shard, campaign_id))
                replies = pipeline.execute()
            found |= {
                campaign_id: BudgetState.from_hash(fields)
                for campaign_id, fields in zip(some, replies, strict=True)
                if fields
            }
        return found

    def have_all(self, campaign_ids: Collection[int]) -> bool:
        """Return whether each of these campaigns has a state that was made in this server."""
        named = [keys.budget(self._shard, campaign_id) for campaign_id in campaign_ids]
        return all(
            self._have_all.run(self._redis, some, []) == len(some)
            for some in pieces(named, _LOOKED_FOR)
        )

    def owed(self, campaign_ids: Iterable[int]) -> dict[int, int]:
        """Return what shards of a campaign have beyond its budget, until others have paid it back.

        That is so for a moment after a budget was lowered. One shard owes nothing to others.
        """
        return dict.fromkeys(campaign_ids, 0)

    def expire(self, before_bucket: int) -> int:
        """Give back the reservations of every bucket older than ``before_bucket``; how many.

        What they had reserved stays known as exposed until ``retire``.
        """
        listing, expired = keys.buckets(self._shard), 0
        for bucket in self._listed(listing):
            if bucket < before_bucket:
                batch = bucket // keys.EXPOSED_TOGETHER
                reserved = keys.reservations(self._shard, bucket)
                exposed = keys.exposed(self._shard, batch)
                batches = keys.exposed_batches(self._shard)
                expired += self._run_on(
                    self._expire, [reserved, listing, exposed, batches], [bucket, batch]
                )
        return expired

    def retire(self, before_bucket: int) -> int:
        """Forget what buckets older than ``before_bucket`` had exposed; how many batches that were.

        Only when every token of theirs has run out: a batch goes with its newest bucket.
        """
        listing, retired = keys.exposed_batches(self._shard), 0
        for batch in self._listed(listing):
            if (batch + 1) * keys.EXPOSED_TOGETHER <= before_bucket:
                exposed = keys.exposed(self._shard, batch)
                retired += self._run_on(self._retire, [exposed, listing], [batch])
        return retired

    def _listed(self, listing: str) -> list[int]:
        with redis_errors("list buckets of bids"):
            return sorted(int(member) for member in self._redis.smembers(listing))

    def _run_on(self, script: Script, bucket_keys: list[str], numbers: list[int]) -> int:
        """Run ``script`` on a bucket, whose hash is the first key, with its campaigns' budgets.

        Some campaigns at a time: each one's money adds up after each. Returns 1 once the bucket was
        forgotten; 0 if bids came in meanwhile: the next run of the job goes on.
        """
        with redis_errors("read a bucket of bids"):
            ids = [
                int(field) for some in hash_pieces(self._redis, bucket_keys[0]) for field in some
            ]
        forgotten = 0
        # One that has nothing in it is forgotten too.
        for some in pieces(ids, _GIVEN_BACK) if ids else [()]:
            budget_keys = [keys.budget(self._shard, campaign_id) for campaign_id in some]
            forgotten = script.run(self._redis, [*bucket_keys, *budget_keys], [*numbers, *some])
        return forgotten


def done_of(reply: int) -> int:
    """Return what sync_budget.lua did. Raises LedgerMovedOnError, StoreUnavailableError."""
    if reply == OTHER_SERVER:
        raise StoreUnavailableError("Redis: the pacer has not found this server right yet")
    if reply == MOVED_ON:
        raise LedgerMovedOnError("the ledger has moved on since it was read")
    return reply
