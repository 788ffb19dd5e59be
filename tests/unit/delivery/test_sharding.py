from __future__ import annotations

from collections import Counter

import pytest

from adctl.delivery.sharding import MAX_SHARDS, shard_of
from adctl.delivery.tokens import hash_user


def test_only_shard_takes_everybody() -> None:
    assert {shard_of(hash_user(bytes(32), str(n)), 1) for n in range(50)} == {0}


@pytest.mark.parametrize("shards", [2, 3, 16, MAX_SHARDS])
def test_users_are_spread_evenly(shards: int) -> None:
    per_shard = 200
    counts = Counter(
        shard_of(hash_user(bytes(32), f"user-{n}"), shards) for n in range(per_shard * shards)
    )
    assert sorted(counts) == list(range(shards))
    assert min(counts.values()) > per_shard * 0.6
    assert max(counts.values()) < per_shard * 1.4
