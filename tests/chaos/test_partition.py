"""Redis is there and says nothing, for a while: bids stop, and no event is lost or waits.

``make soak`` does the same for half a minute.
"""

from __future__ import annotations

import pytest

from tests.chaos.partition import run_partition


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_every_event_is_answered_and_kept_while_redis_is_partitioned_off() -> None:
    outcome = run_partition(8)
    assert not outcome.failed, outcome.explained()
