"""Campaign money divided among shards, so that each decides alone and none spends another's.

Every shard holds a share. The shares, with what is on its way between shards, always come to the
campaign's budgets: money is moved by taking it out of one shard, giving it to another, forgetting
it in the first. Whoever dies in between leaves it on its way, where it counts and nobody can spend
it, until the next rebalancing brings it on. A script that runs twice does nothing the second time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from adctl.delivery.shares import moves, order_of
from adctl.stores import keys
from adctl.stores.budgets import (
    CHANGED,
    LOST,
    MADE,
    NOTHING_SPENT,
    SHARD,
    Budgets,
    BudgetState,
    LedgerMovedOnError,
    Spent,
    done_of,
)
from adctl.stores.pieces import PIECE, pieces, scan_hash
from adctl.stores.redis import Script, redis_errors
from adctl.stores.shares import Shares, Transfer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    import redis

    from adctl.models import Campaign
    from adctl.stores.budgets import Wanted
    from adctl.stores.redis import Call

    # Transfers, each with its campaign's id.
    Moving = Sequence[tuple[int, Transfer]]

# Shards are not read in the same moment, and money may move in between.
_READ_ATTEMPTS = 5


def open_budgets(client: redis.Redis, shards: int) -> Budgets:
    """Return campaign money in as many shards as there are."""
    return Budgets(client) if shards == 1 else ShardedBudgets(client, shards)


class ShardedBudgets(Budgets):
    """Campaign money in all shards. Safe to share between threads, and between programs."""

    def __init__(self, client: redis.Redis, shards: int) -> None:
        super().__init__(client)
        self.shards = shards
        self._all = [Budgets(client, shard) for shard in range(shards)]
        self._note_joined = Script("note_joined")
        self._take = Script("take_share")
        self._give = Script("give_share")
        self._forget = Script("forget_transfer")

    def sync(
        self, campaign: Campaign, day: date, spent: Spent = NOTHING_SPENT, *, anew: bool = False
    ) -> bool:
        """See Budgets. What was spent is the first shard's; what is left is divided evenly.

        A shard that has lost its memory makes all shards begin anew. A budget that was lowered is
        taken back from all shards before this returns.
        """
        over = self._epoch(campaign.id) if anew else ""
        done = self._begin(campaign, day, spent, over)
        while over := self._join(campaign.id, day, spent, made=done == MADE):
            done = self._begin(campaign, day, spent, over)
        if done == CHANGED:
            self.rebalance([campaign.id])
        return done == MADE

    def sync_each(self, wanted: Sequence[Wanted], *, anew: bool = False) -> list[Campaign]:
        """See Budgets. One after the other: each takes several steps over all shards."""
        behind: list[Campaign] = []
        for one in wanted:
            try:
                self.sync(*one, anew=anew)
            except LedgerMovedOnError:
                behind.append(one.campaign)
        return behind

    def roll_day(self, campaign_id: int, day: date) -> bool:
        """See Budgets."""
        begun = [shard.roll_day(campaign_id, day) for shard in self._all]
        if any(begun):
            self.rebalance([campaign_id])
        return any(begun)

    def read(self, campaign_ids: Iterable[int]) -> dict[int, BudgetState]:
        """Return the whole state of each campaign all of whose shards have theirs."""
        return {
            campaign_id: shares.whole()
            for campaign_id, shares in self.read_shares(campaign_ids).items()
        }

    def have_all(self, campaign_ids: Collection[int]) -> bool:
        """See Budgets. Campaigns in whose shards something is missing have none."""
        if not all(shard.have_all(campaign_ids) for shard in self._all):
            return False
        return len(self.read_shares(campaign_ids)) == len(campaign_ids)

    def owed(self, campaign_ids: Iterable[int]) -> dict[int, int]:
        """See Budgets."""
        return {
            campaign_id: sum(max(0, -state.available) for state in shares.states)
            for campaign_id, shares in self.read_shares(campaign_ids).items()
        }

    def read_shares(self, campaign_ids: Iterable[int]) -> dict[int, Shares]:
        """Return the shares of each campaign all of whose shards have theirs."""
        missing = list(campaign_ids)
        found: dict[int, Shares] = {}
        for _ in range(_READ_ATTEMPTS):
            read = self._read_once(missing)
            found |= read
            missing = [campaign_id for campaign_id, shares in read.items() if not shares.add_up]
            if not missing:
                break
        return found

    def expire(self, before_bucket: int) -> int:
        """See Budgets."""
        return sum(shard.expire(before_bucket) for shard in self._all)

    def retire(self, before_bucket: int) -> int:
        """See Budgets."""
        return sum(shard.retire(before_bucket) for shard in self._all)

    def rebalance(self, campaign_ids: Iterable[int] = ()) -> int:
        """Bring money to the shards that ran dry, and evenly to those of ``campaign_ids``.

        Also brings on what was left on its way. Any number may do so at once. Returns how many
        transfers were made. Raises StoreUnavailableError; the next call goes on from there.
        """
        even, flags = set(campaign_ids), self._wanting()
        wanted: dict[int, dict[int, int]] = {campaign_id: {} for campaign_id in even}
        for shard, prices in enumerate(flags):
            for campaign_id, nanos in prices.items():
                asked = wanted.setdefault(campaign_id, {})
                if nanos and campaign_id not in even:
                    asked[shard] = nanos
        shares = self.read_shares(wanted)
        self._bring_on(
            [(number, t) for number, one in shares.items() for t in one.on_their_way()], shares
        )
        taken = self._take_all(
            [
                (campaign_id, transfer)
                for campaign_id, one in shares.items()
                if wanted[campaign_id] or campaign_id in even or one.owes
                for transfer in _plan(one, wanted[campaign_id])
            ],
            shares,
        )
        self._bring_on(taken, shares)
        for campaign_id, transfer in taken:
            flags[transfer.source][campaign_id] = 0
        self._clear(flags)
        return len(taken)

    def _begin(self, campaign: Campaign, day: date, spent: Spent, over: str) -> int:
        """Make the first shard keep the campaign's budgets, in a new epoch if one is ``over``."""
        budgets = campaign.total_budget_nanos, campaign.daily_budget_nanos
        others = len(self._all) - 1
        left = budgets[0] - spent.nanos, budgets[1] - spent.day_nanos
        begin = [max(0, nanos) // len(self._all) for nanos in left]
        rest: list[str | int] = [over, self._next_epoch(campaign.id, over)]
        rest += [nanos * others for nanos in begin] + begin
        call = self._all[SHARD].sync_call(campaign.id, budgets, day, spent, *rest)
        return done_of(self._sync.run(self._redis, *call))

    def _join(self, campaign_id: int, day: date, spent: Spent, *, made: bool) -> str:
        """Tell all other shards what they begin with; the epoch, if all have to begin anew.

        That is so where one has lost what it had, and where the first was not ``made`` from the
        same reading of the ledger: whoever made it was cut short.
        """
        with redis_errors("read a campaign's first share"):
            epoch, joined, *begin = self._redis.hmget(
                keys.budget(SHARD, campaign_id), ["epoch", "joined", "begin", "day_begin"]
            )
        if joined != "1" and not made:
            return str(epoch)
        budgets = int(begin[0] or 0), int(begin[1] or 0)
        elsewhere = spent._replace(nanos=0, day_nanos=0, late_nanos=0)
        calls = [
            self._all[shard].sync_call(
                campaign_id, budgets, day, elsewhere, *("", str(epoch), "", str(joined))
            )
            for shard in range(1, len(self._all))
        ]
        if LOST in map(done_of, self._sync.run_all(self._redis, calls)):
            return str(epoch)
        if joined != "1":
            self._note_joined.run(self._redis, [keys.budget(SHARD, campaign_id)], [str(epoch)])
        return ""

    def _epoch(self, campaign_id: int) -> str:
        with redis_errors("read a campaign's epoch"):
            return str(self._redis.hget(keys.budget(SHARD, campaign_id), "epoch") or "")

    def _next_epoch(self, campaign_id: int, over: str) -> str:
        """Return an epoch that comes after all there are; texts of one length, in their order."""
        now = time.time_ns()
        if over:
            with redis_errors("read a campaign's epochs"):
                pipeline = self._redis.pipeline(transaction=False)
                for shard in range(len(self._all)):
                    pipeline.hget(keys.budget(shard, campaign_id), "epoch")
                now = max(now, *(int(epoch or 0) + 1 for epoch in pipeline.execute()))
        return f"{now:020d}"

    def _read_once(self, campaign_ids: Iterable[int]) -> dict[int, Shares]:
        size = len(self._all)
        found: dict[int, Shares] = {}
        for some in pieces(campaign_ids, max(1, PIECE // size)):
            with redis_errors("read budgets"):
                pipeline = self._redis.pipeline(transaction=False)
                for campaign_id in some:
                    for shard in range(size):
                        pipeline.hgetall(keys.budget(shard, campaign_id))
                replies = pipeline.execute()
            for place, campaign_id in enumerate(some):
                if shares := Shares.of(replies[place * size : (place + 1) * size]):
                    found[campaign_id] = shares
        return found

    def _wanting(self) -> list[dict[int, int]]:
        with redis_errors("read what shards want"):
            by_shard = [scan_hash(self._redis, keys.wanting(n)) for n in range(len(self._all))]
        return [{int(number): int(nanos) for number, nanos in of.items()} for of in by_shard]

    def _clear(self, flags: Sequence[Mapping[int, int]]) -> None:
        with redis_errors("note what shards have got"):
            pipeline = self._redis.pipeline(transaction=False)
            for shard, prices in enumerate(flags):
                for some in pieces(map(str, prices)):
                    pipeline.hdel(keys.wanting(shard), *some)
            pipeline.execute()

    def _take_all(self, planned: Moving, shares: Mapping[int, Shares]) -> Moving:
        """Take what is planned out of its shards; return what could be taken."""
        calls: list[Call] = [
            (
                [keys.budget(one.source, campaign_id), keys.wanting(one.source)],
                [shares[campaign_id].epoch, one.target, one.nanos, one.day_nanos, campaign_id],
            )
            for campaign_id, one in planned
        ]
        replies = self._take.run_all(self._redis, calls)
        return [
            (campaign_id, one._replace(number=reply[0], day=reply[1]))
            for (campaign_id, one), reply in zip(planned, replies, strict=True)
            if reply
        ]

    def _bring_on(self, taken: Moving, shares: Mapping[int, Shares]) -> None:
        """Give what was taken, and forget what was given."""
        gives: list[Call] = [
            (
                [keys.budget(one.target, campaign_id)],
                [
                    shares[campaign_id].epoch,
                    one.source,
                    one.number,
                    one.nanos,
                    one.day_nanos,
                    one.day,
                ],
            )
            for campaign_id, one in taken
        ]
        replies = self._give.run_all(self._redis, gives)
        forgets: list[Call] = [
            (
                [keys.budget(one.source, campaign_id)],
                [shares[campaign_id].epoch, one.target, one.number],
            )
            for (campaign_id, one), given in zip(taken, replies, strict=True)
            if given
        ]
        self._forget.run_all(self._redis, forgets)


def _plan(shares: Shares, wanted: Mapping[int, int]) -> list[Transfer]:
    """Return the transfers that would put things right, not numbered yet."""
    available = [state.available for state in shares.states]
    of_day = [state.day_available for state in shares.states]
    # One order for both, so that the same shard gets both where there is too little for all.
    order = order_of([min(both) for both in zip(available, of_day, strict=True)], wanted)
    flight, day = moves(available, wanted, order), moves(of_day, wanted, order)
    return [
        Transfer(*pair, 0, flight.get(pair, 0), day.get(pair, 0), "")
        for pair in sorted(flight.keys() | day.keys())
    ]
