"""Two more seeds, for the worker that the first one has left waiting."""

from __future__ import annotations

import pytest

from tests.chaos.world import Trial, run


@pytest.mark.chaos
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_lost_whatever_dies(seed: int) -> None:
    outcome = run(Trial(seed, for_sec=14, each_sec=0.5))
    assert not outcome.failed, outcome.explained()
