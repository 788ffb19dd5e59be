"""Redis is killed while its disk hangs; what was acknowledged is in PostgreSQL, once.

``python -m tests.chaos.slow_disk`` does the same twenty times.
"""

from __future__ import annotations

import pytest

from tests.chaos.slow_disk import run


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_what_redis_acknowledged_while_its_disk_hung_outlives_a_kill() -> None:
    rounds = list(run(3))
    assert [one for one in rounds if not one.holds] == []
    # Else its disk has not hung, and nothing was tried.
    assert any(one.retaken for one in rounds)
