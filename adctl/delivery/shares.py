"""How a campaign's money is divided among shards: who should have how much, and who gives it.

Each shard can only sell what it has. So a shard that has run dry gets from the others, and when
there is too little left for all, it is kept together: ten shards with a tenth of a price each could
sell nothing at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Moves = dict[tuple[int, int], int]


def order_of(held: Sequence[int], wanted: Mapping[int, int]) -> list[int]:
    """Return the shards in the order in which they are served when there is too little for all.

    Those that were asked in vain (``wanted``: shard → nanos) come first; of these, who has most
    already, so that little has to be moved.
    """
    return sorted(range(len(held)), key=lambda shard: (shard not in wanted, -held[shard], shard))


def targets(held: Sequence[int], unit: int, order: Sequence[int]) -> list[int]:
    """Return what each shard should have of the sum of ``held``, in nanos; the sum stays the same.

    ``unit`` is the price that a share is of no use without. Nobody is left below zero unless the
    sum is.
    """
    total = sum(held)
    if total <= 0:
        return _debts(held)
    even, rest = divmod(total, len(held))
    if even >= unit:
        shares = [even] * len(held)
    else:
        served, rest = divmod(total, unit)
        shares = [0] * len(held)
        for shard in order[:served]:
            shares[shard] = unit
    shares[order[0]] += rest
    return shares


def moves(held: Sequence[int], wanted: Mapping[int, int], order: Sequence[int]) -> Moves:
    """Return what to move, (from, to) → nanos, none of it more than the giver has.

    ``wanted`` names the shards that ran dry, with the price each could not pay; only these get
    anything, and those that owe. Empty: all get, so that all have the same.
    """
    unit = max(wanted.values(), default=1)
    goal = targets(held, unit, order)
    needy = {
        shard: goal[shard] - has
        for shard, has in enumerate(held)
        if goal[shard] > has and (not wanted or shard in wanted or has < 0)
    }
    spare = {shard: has - goal[shard] for shard, has in enumerate(held) if has > goal[shard]}
    found: Moves = {}
    givers = sorted(spare, key=lambda shard: -spare[shard])
    for shard in sorted(needy, key=lambda shard: (order.index(shard), shard)):
        for giver in givers:
            nanos = min(needy[shard], spare[giver])
            if nanos > 0:
                found[giver, shard] = nanos
                needy[shard] -= nanos
                spare[giver] -= nanos
    return found


def _debts(held: Sequence[int]) -> list[int]:
    """Spend all there is on the debts, in the order of the shards."""
    left = sum(nanos for nanos in held if nanos > 0)
    shares = []
    for nanos in held:
        paid = min(left, max(0, -nanos))
        left -= paid
        shares.append(min(nanos, 0) + paid)
    return shares
