from __future__ import annotations

from prometheus_client import CollectorRegistry

from daemons.tracker.metrics import TrackerMetrics


def test_events_are_counted_by_kind_and_verdict() -> None:
    registry = CollectorRegistry()
    metrics = TrackerMetrics(registry)
    for verdict in ("taken", "taken", "late"):
        metrics.count("click", verdict)
    counted = {
        verdict: registry.get_sample_value(
            "adctl_events_total", {"kind": "click", "verdict": verdict}
        )
        for verdict in ("taken", "late")
    }
    assert counted == {"taken": 2, "late": 1}


def test_the_spool_is_told_once_a_second_and_has_no_age_when_it_is_empty() -> None:
    registry, now = CollectorRegistry(), [1000.0]
    metrics = TrackerMetrics(registry, lambda: now[0])

    def told() -> tuple[float | None, float | None]:
        names = ("adctl_spool_bytes", "adctl_spool_age_seconds")
        of_bytes, age = (registry.get_sample_value(name) for name in names)
        return of_bytes, age

    metrics.tell_spool(500, 970_000)
    assert told() == (500, 30)
    now[0] += 0.5
    metrics.tell_spool(600, 970_000)
    assert told() == (500, 30)
    now[0] += 0.5
    metrics.tell_spool(0, 970_000)
    assert told() == (0, 0)
