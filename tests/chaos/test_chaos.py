"""Everything is killed, cut off and lied to while money flows; afterwards the books must close.

``make soak`` does the same for longer and with many seeds.
"""

from __future__ import annotations

import pytest

from tests.chaos.faults import EVERY_FAULT, plan_faults
from tests.chaos.world import run

SEED = 1


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_no_acknowledged_event_and_no_nano_is_lost_whatever_dies() -> None:
    outcome = run(SEED, for_sec=12, each_sec=0.5)
    assert not outcome.failed, outcome.explained()


def test_a_seed_means_the_same_faults_every_time() -> None:
    assert plan_faults(7, 45, 2.0) == plan_faults(7, 45, 2.0) != plan_faults(8, 45, 2.0)


def test_a_run_of_the_usual_length_has_every_fault() -> None:
    assert {fault.what for fault in plan_faults(1, 45, 2.0)} == set(EVERY_FAULT)
