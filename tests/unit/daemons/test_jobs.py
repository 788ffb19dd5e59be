from __future__ import annotations

import threading
import time

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adctl.errors import StoreUnavailableError
from daemons.jobs import Job, JobMetrics, scheduled


class Outage:
    """Work that fails for as long as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.runs = 0

    def __call__(self) -> None:
        self.runs += 1
        if self.error:
            raise self.error


def failures(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("adctl_job_failures_total", {"job": "work"})


def test_an_outage_is_logged_once_and_counted_each_time() -> None:
    registry = CollectorRegistry()
    work = Outage(StoreUnavailableError("Redis: down"))
    job = Job("work", work, 1, JobMetrics(registry))
    with capture_logs() as logs:
        assert not job.run()
        assert not job.run()
        work.error = None
        assert job.run()
        assert job.run()
    assert [line["event"] for line in logs] == ["job failed", "job works again"]
    assert failures(registry) == 2


def test_a_bug_does_not_end_a_job() -> None:
    registry = CollectorRegistry()
    job = Job("work", Outage(ZeroDivisionError()), 1, JobMetrics(registry))
    with capture_logs() as logs:
        assert not job.run()
    assert logs[0]["exc_info"] is True
    assert failures(registry) == 1


def test_jobs_run_at_once_and_again_and_never_beside_themselves() -> None:
    running, most = 0, 0
    lock = threading.Lock()
    runs = 0

    def work() -> None:
        nonlocal running, most, runs
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
            runs += 1

    with scheduled([Job("work", work, 0.02, JobMetrics(CollectorRegistry()))]):
        time.sleep(0.4)
    assert most == 1
    assert runs >= 3
    assert running == 0


def test_leaving_waits_for_a_run_that_has_begun() -> None:
    finished = threading.Event()

    def work() -> None:
        time.sleep(0.2)
        finished.set()

    with scheduled([Job("work", work, 60, JobMetrics(CollectorRegistry()))]):
        time.sleep(0.05)
    assert finished.is_set()
