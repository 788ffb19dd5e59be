from __future__ import annotations

from collections import Counter

import pytest

from adctl.delivery.sharding import shard_of
from adctl.delivery.tokens import hash_user

KEY = bytes(32)


def test_user_is_in_the_same_shard_whatever_the_request() -> None:
    user = hash_user(KEY, "somebody")
    assert len({shard_of(user, f"request-{number}", 16) for number in range(100)}) == 1


def test_only_shard_takes_everybody() -> None:
    assert {shard_of(hash_user(KEY, str(n)), "r", 1) for n in range(50)} == {0}
    assert shard_of("", "request", 1) == 0


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("shards", [2, 3, 16, 256])
def test_requests_are_spread_evenly(shards: int, known: bool) -> None:
    per_shard = 200
    counts = Counter(
        shard_of(hash_user(KEY, f"user-{n}") if known else "", f"request-{n}", shards)
        for n in range(per_shard * shards)
    )
    assert sorted(counts) == list(range(shards))
    assert min(counts.values()) > per_shard * 0.6
    assert max(counts.values()) < per_shard * 1.4


def test_request_id_of_any_text_finds_a_shard() -> None:
    assert 0 <= shard_of("", "no such user \udcff", 16) < 16
