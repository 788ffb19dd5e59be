"""The same on Apache Kafka itself, which keeps its log when it is killed."""

from __future__ import annotations

import pytest

from tests.chaos.world import Trial, run


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_nothing_is_lost_whatever_dies(apache_alone: None) -> None:
    outcome = run(Trial(4, for_sec=14, each_sec=0.5, kafka="apache"))
    assert not outcome.failed, outcome.explained()
