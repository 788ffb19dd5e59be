"""On a new Kafka cluster what was missed is made anew, once, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adctl.control import rebuilding
from adctl.errors import ConflictError, StoreUnavailableError
from adctl.stores.group_progress import GroupProgress
from tests.integration.plant import HOUR, LINES, ROLLUPS, Plant, dump, events

if TYPE_CHECKING:
    import psycopg

    from adctl.control.rebuilding import Step

NEXT = "another-cluster"


def places(group: str) -> list[tuple[str, int]]:
    keyed = ("wins", "impressions") if group == "billing" else ("wins", "impressions", "clicks")
    return [(topic, 0) for topic in keyed]


def meet(plant: Plant, cluster_id: str = NEXT) -> None:
    for name, rebuilder in (("analytics", plant.rollups), ("billing", plant.lines)):
        assert rebuilder.begin_cluster(cluster_id, places(name))


def note_counted(plant: Plant) -> None:
    """Let the groups find out that they have counted all there is."""
    for work, rebuilder in zip(plant.work, (plant.rollups, plant.lines), strict=True):
        counted = rebuilder.counted(plant.cluster_id)
        ends = work.next_offsets(plant.cluster_id)
        assert counted.look(lambda _, ends=ends: ends) == []


def whole(plant: Plant, postgres: psycopg.Connection) -> tuple[bytes, bytes]:
    plant.rollups.rebuild()
    plant.lines.rebuild()
    return dump(postgres, ROLLUPS), dump(postgres, LINES)


def built(postgres: psycopg.Connection) -> tuple[bytes, bytes]:
    return dump(postgres, ROLLUPS), dump(postgres, LINES)


def a_part_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "_STEP_SEC", -1.0)
    monkeypatch.setattr(
        rebuilding, "ranges", lambda parts, width: [(part, part + width) for part in parts]
    )


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("known", [True, False])
def test_what_the_lost_cluster_still_held_is_counted_once(
    plant: Plant, postgres: psycopg.Connection, share: float, known: bool
) -> None:
    told = events(11, 300)
    plant.happen(told[:150])
    plant.read()
    if known:
        note_counted(plant)
    plant.happen(told[150:])
    plant.read(share)
    meet(plant)
    assert built(postgres) == whole(plant, postgres)


def test_hours_in_which_nothing_was_missed_are_left_as_they_are(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(12, 200))
    plant.read()
    note_counted(plant)
    # What is not so is left to `adctl rebuild`, and tells here who wrote.
    old = HOUR - timedelta(hours=4)
    postgres.execute("UPDATE rollup_delivery SET clicks = clicks + 1 WHERE hour = %s", [old])
    postgres.commit()
    before = built(postgres)
    meet(plant)
    assert built(postgres) == before


@pytest.mark.parametrize("known", [True, False])
def test_steps_that_end_by_a_fault_are_gone_on_with_and_come_to_the_same(
    plant: Plant, postgres: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    told = events(13, 300)
    plant.happen(told[:100])
    plant.read()
    if known:
        note_counted(plant)
    plant.happen(told[100:])
    # As if the process was killed after each.
    a_part_a_step(monkeypatch)
    steps: list[Step] = []

    def stop_after_one(step: Step) -> None:
        steps.append(step)
        raise StoreUnavailableError("killed")

    for number, (name, rebuilder) in enumerate(
        (("analytics", plant.rollups), ("billing", plant.lines))
    ):
        for _ in range(60):
            plant.store(events(1000 + 60 * number + len(steps), 1))
            try:
                rebuilder.begin_cluster(NEXT, places(name), tell=stop_after_one)
            except StoreUnavailableError:
                continue
            break
        else:
            pytest.fail("it never comes to an end")
    assert len(steps) > 3
    assert built(postgres) == whole(plant, postgres)


def test_a_group_that_is_to_stop_says_so_between_steps(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.happen(events(14, 200))
    a_part_a_step(monkeypatch)
    asked = iter([False, True])
    with pytest.raises(StoreUnavailableError, match="stopped"):
        plant.rollups.begin_cluster(NEXT, places("analytics"), lambda: next(asked))


def test_what_the_last_cluster_said_counts_no_more_once_the_next_is_met(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(15, 100))
    meet(plant)
    before = built(postgres)
    with pytest.raises(ConflictError, match="another Kafka cluster"):
        plant.read()
    assert built(postgres) == before


def test_events_told_to_the_new_cluster_before_the_group_came_count_once(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(16, 100))
    # The group has lost all it knew of this cluster, which has every event.
    postgres.execute("DELETE FROM consumer_position")
    postgres.commit()
    for name, rebuilder in (("analytics", plant.rollups), ("billing", plant.lines)):
        assert rebuilder.begin_cluster(plant.cluster_id, places(name))
    plant.read()
    assert built(postgres) == whole(plant, postgres)


def test_groups_do_not_wait_for_each_other(plant: Plant) -> None:
    plant.happen(events(17, 50))
    with plant.rollups.one_moment():
        assert plant.lines.begin_cluster(NEXT, places("billing"))


def test_a_partition_that_was_made_anew_is_begun_again(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    plant.happen(events(18, 100))
    plant.read()
    counted = plant.rollups.counted(plant.cluster_id)
    ends = dict.fromkeys(plant.work[0].next_offsets(plant.cluster_id), 0)
    anew = counted.look(lambda _: ends)
    assert {topic for topic, _ in anew} >= {"wins", "impressions"}
    plant.rollups.begin_again(plant.cluster_id, anew)
    assert plant.rollups.begin_cluster(plant.cluster_id, places("analytics"))
    plant.read()
    assert built(postgres) == whole(plant, postgres)


def test_nothing_is_taken_for_counted_before_the_group_is_where_partitions_ended(
    plant: Plant, postgres: psycopg.Connection
) -> None:
    def marks() -> object:
        found = GroupProgress("analytics").read(postgres)
        postgres.commit()
        return found and found.counted_marks

    plant.happen(events(19, 60))
    plant.read(0.5)
    counted, before = plant.rollups.counted(plant.cluster_id), marks()
    half = plant.work[0].next_offsets(plant.cluster_id)
    plant.read()
    ends = plant.work[0].next_offsets(plant.cluster_id)
    assert ends != half
    place = next(at for at in ends if at[0] == "wins")
    counted.look(lambda _: {**ends, place: ends[place] + 1})
    assert marks() == before
    plant.rollups.counted(plant.cluster_id).look(lambda _: ends)
    assert marks() != before
