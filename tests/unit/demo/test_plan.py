from __future__ import annotations

import pytest

from adctl.demo.plan import Kill, Plan, read_plan
from adctl.errors import FaultyInputError


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("45", 45), ("2m", 120), ("1h", 3600), (" 5S ", 5)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert read_plan(text, 100, 1, []).for_sec == seconds


def test_kills_happen_in_the_order_of_their_seconds() -> None:
    plan = read_plan("30s", 50, 7, ["valkey@15", "flusher@10s", "postgres@0"])
    kills = (Kill("postgres", 0), Kill("flusher", 10), Kill("valkey", 15))
    assert plan == Plan(30, 50, 7, kills)


@pytest.mark.parametrize("text", ["", "0s", "-3s", "1.5s", "25h", "soon", "3d"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(FaultyInputError, match="--for"):
        read_plan(text, 100, 1, [])


@pytest.mark.parametrize("text", ["flusher", "flusher@", "@3", "redis@3", "flusher@30", "a@-1"])
def test_other_kills_are_refused(text: str) -> None:
    with pytest.raises(FaultyInputError, match="--kill"):
        read_plan("30s", 100, 1, [text])


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(FaultyInputError) as refused:
        read_plan("never", 0, 1, ["tracker@5", "nobody@5", "bidder"])
    assert [fault.field for fault in refused.value.faults] == ["--for", "--rate", *["--kill"] * 2]
