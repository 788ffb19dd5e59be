"""Work done on a schedule, in threads, that outlives the stores it needs."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import CollectorRegistry, Counter, Gauge

from adctl.errors import AdctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

log = structlog.get_logger()

# A run that begins while the last one is still at work is skipped, as it should be.
logging.getLogger("apscheduler").setLevel(logging.ERROR)


class JobMetrics:
    """What every scheduled job tells about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Counter(
            "adctl_job_failures_total",
            "Runs of a job that failed; it is tried again at its next turn.",
            ["job"],
            registry=registry,
        )
        self.succeeded_at = Gauge(
            "adctl_job_success_timestamp_seconds",
            "When a job last did its work, in Unix time.",
            ["job"],
            registry=registry,
        )


class Job:
    """One job: its work, how often, and whether it is in the middle of an outage."""

    def __init__(
        self, name: str, work: Callable[[], object], interval_sec: float, metrics: JobMetrics
    ) -> None:
        self.name = name
        self.interval_sec = interval_sec
        self._work = work
        self._failures = metrics.failures.labels(name)
        self._succeeded_at = metrics.succeeded_at.labels(name)
        self._failing = False

    def run(self) -> bool:
        """Do the work once; False if it failed, which the log says once per outage."""
        try:
            self._work()
        except AdctlError as exc:
            self._fail(str(exc), bug=False)
        except Exception as exc:  # noqa: BLE001 - a scheduler would drop it without a metric
            self._fail(repr(exc), bug=True)
        else:
            self._succeeded_at.set_to_current_time()
            if self._failing:
                log.info("job works again", job=self.name)
            self._failing = False
        return not self._failing

    def _fail(self, told: str, *, bug: bool) -> None:
        self._failures.inc()
        if not self._failing:
            log.error("job failed", job=self.name, error=told, exc_info=bug)
        self._failing = True


@contextmanager
def scheduled(jobs: Sequence[Job]) -> Iterator[None]:
    """Run every job within a second and then every ``interval_sec``, none beside itself.

    Each has a moment of its own, so that they do not crowd. On leaving, runs that have begun are
    waited for.
    """
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(len(jobs))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone=UTC,
    )
    now = datetime.now(UTC)
    for place, job in enumerate(jobs):
        scheduler.add_job(
            job.run,
            "interval",
            seconds=job.interval_sec,
            next_run_time=now + timedelta(seconds=min(job.interval_sec, 1.0) * place / len(jobs)),
            id=job.name,
        )
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=True)
