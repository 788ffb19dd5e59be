"""Everything is killed, cut off and lied to while money flows; afterwards the books must close.

``make soak`` does the same for longer and with many seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.moments import MOMENTS, plan_faults
from tests.chaos.planted import EQUATIONS, PLANTS, RESERVED, plant, reserve_a_nano
from tests.chaos.world import Trial, run

if TYPE_CHECKING:
    from adctl.stores.embedded.state import StackRecord
    from tests.chaos.world import Recheck

SHORT = Trial(1, for_sec=14, each_sec=0.5)


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_nothing_is_lost_whatever_dies_and_the_audit_would_have_seen_it() -> None:
    unseen: list[str] = []

    def plant_all(record: StackRecord, recheck: Recheck) -> None:
        before = set(recheck())
        for found in PLANTS:
            plant(record, found)
            after = set(recheck())
            if found.claim in before or found.claim not in after:
                unseen.append(found.claim)
            before = after
        reserve_a_nano(record)
        unseen.extend({EQUATIONS, RESERVED} - set(recheck()))

    outcome = run(SHORT, afterwards=plant_all)
    assert not outcome.failed, outcome.explained()
    assert not unseen


def test_a_seed_means_the_same_faults_every_time() -> None:
    assert plan_faults(7, 45, 2.0) == plan_faults(7, 45, 2.0) != plan_faults(8, 45, 2.0)


@pytest.mark.parametrize(("for_sec", "each_sec"), [(45, 2.0), (SHORT.for_sec, SHORT.each_sec)])
def test_three_seeds_have_every_fault(for_sec: int, each_sec: float) -> None:
    plans = [plan_faults(seed, for_sec, each_sec) for seed in (1, 2, 3)]
    every = {what for group in MOMENTS.values() for what in group}
    assert {fault.what for plan in plans for fault in plan} == every


@pytest.mark.parametrize("group", MOMENTS)
def test_a_run_has_nothing_but_what_is_wanted(group: str) -> None:
    plan = plan_faults(1, 45, 2.0, [group])
    assert {fault.what for fault in plan} == set(MOMENTS[group])


def test_redis_is_from_the_past_several_times_in_a_row() -> None:
    plan = [fault.what for fault in plan_faults(1, 45, 30.0, ["past"])]
    assert len(plan) > 1
    assert len(set(plan)) == 1
