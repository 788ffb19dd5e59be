"""One run of the demo: its own stores and daemons, traffic, draining, and the audit."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.daemon_process import START_ORDER
from adctl.control.plane import ControlPlane
from adctl.control.supervision import ProcessStatus
from adctl.demo.books import Books, BooksWatch, Overview
from adctl.demo.campaigns import SAMPLES, create_samples
from adctl.demo.exchange import Exchange
from adctl.demo.summary import Summary, summarise
from adctl.demo.tally import Latency, Tally
from adctl.demo.traffic import Traffic
from adctl.errors import StoreUnavailableError
from adctl.stores.catalog import CatalogStore
from adctl.stores.endpoints import resolve
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.tables import open_engine

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from adctl.control.supervision import Supervisor
    from adctl.demo.campaigns import Sample
    from adctl.demo.plan import Plan

DRAIN_SEC = 30
_TEND_EVERY_SEC = 0.2
_DRAINED_EVERY_SEC = 0.5


class Phase(StrEnum):
    """Where a run is."""

    STARTING = "starting"
    TRAFFIC = "traffic"
    DRAINING = "draining"
    STOPPING = "stopping"


class Snapshot(NamedTuple):
    """Everything there is to show of a run at one moment."""

    phase: Phase
    elapsed_sec: float
    for_sec: int
    counts: Counter[str]
    latency: Latency
    overview: Overview
    stale: bool
    processes: tuple[ProcessStatus, ...]
    waiting_for: str


def demo_environment(outer: Mapping[str, str], state_dir: Path) -> dict[str, str]:
    """Return the environment of a demo: ``outer`` without any setting of adctl, and its own.

    So a demo can never reach the stores of a configuration, nor the ports of what runs already.
    """
    kept = {name: value for name, value in outer.items() if not name.startswith("ADCTL_")}
    ports = {f"ADCTL_{name.upper()}_PORT": "0" for name in START_ORDER}
    return {**kept, **ports, "ADCTL_STATE_DIR": str(state_dir)}


class DemoRun:
    """Runs a plan under ``supervisor``, which the caller stops. For the main thread.

    ``samples`` are the campaigns, ``exchange`` is who offers impressions to them. ``snapshot`` may
    be asked for by any thread, at any time.
    """

    def __init__(
        self,
        plan: Plan,
        supervisor: Supervisor,
        tick: Callable[[Snapshot], None],
        samples: Sequence[Sample] = SAMPLES,
        exchange: type[Exchange] = Exchange,
    ) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._tick = tick
        self._samples = samples
        self._exchange = exchange
        self._tally = Tally()
        self._watch: BooksWatch | None = None
        self._phase = Phase.STARTING
        self._began = time.monotonic()
        self._elapsed_sec = 0.0
        self._waiting_for = ""

    def run(self, stop: threading.Event) -> Summary | None:
        """Do it all; None if ``stop`` was set before there was traffic.

        Set during the traffic, ``stop`` ends it early, and everything else is done. Set again, it
        ends the wait for draining.
        """
        self._supervisor.start(stop)
        if stop.is_set():
            return None
        with ExitStack() as closing:
            books = self._prepare(closing)
            self._watch = BooksWatch(books)
            self._watch.start()
            closing.callback(self._watch.stop)
            self._send_traffic(stop)
            stop.clear()
            undrained = self._drain(books, stop)
            self._phase = Phase.STOPPING
            restarts = {status.name: status.restarts for status in self._supervisor.statuses()}
            held = books.holdings()
            return summarise(self._tally, held, undrained, self._elapsed_sec, restarts)

    def _prepare(self, closing: ExitStack) -> Books:
        settings = self._supervisor.settings
        endpoints = resolve(settings)
        client = closing.enter_context(connect(endpoints.redis_url, settings.redis))
        engine = open_engine(endpoints.postgres_url, settings.postgres)
        closing.callback(engine.dispose)
        pool = closing.enter_context(open_pool(endpoints.postgres_url, settings.postgres))
        catalog = CatalogStore(client, settings.catalog.ttl_sec)
        budgets = open_budgets(client, settings.redis.shards)
        plane = ControlPlane(engine, catalog, budgets, settings.currency)
        create_samples(plane, self._samples)
        return Books(pool, client, budgets, settings.state_dir)

    def _send_traffic(self, stop: threading.Event) -> None:
        plan = self._plan
        self._traffic = Traffic(
            self._supervisor.settings, plan.rate, plan.seed, self._tally, self._exchange
        )
        kills = list(plan.kills)
        self._phase, self._began = Phase.TRAFFIC, time.monotonic()
        self._traffic.start()
        while self._measure() < plan.for_sec and not stop.is_set():
            while kills and kills[0].at_sec <= self._elapsed_sec:
                self._supervisor.kill(kills.pop(0).name)
            self._tend()
            stop.wait(_TEND_EVERY_SEC)
        self._traffic.stop_requests()

    def _measure(self) -> float:
        self._elapsed_sec = time.monotonic() - self._began
        return self._elapsed_sec

    def _tend(self) -> None:
        self._supervisor.tend()
        self._tick(self.snapshot())

    def _drain(self, books: Books, stop: threading.Event) -> str:
        """Wait until everything has arrived everywhere; what has not, in words."""
        self._phase = Phase.DRAINING
        deadline = time.monotonic() + DRAIN_SEC
        while not self._traffic.quiet and time.monotonic() < deadline and not stop.is_set():
            self._waiting_for = "browsers and exchanges"
            self._tend()
            stop.wait(_TEND_EVERY_SEC)
        self._traffic.end()
        while waiting_for := _undrained(books):
            self._waiting_for = waiting_for
            self._tend()
            if time.monotonic() > deadline or stop.wait(_DRAINED_EVERY_SEC):
                return waiting_for
        self._waiting_for = ""
        return ""

    def snapshot(self) -> Snapshot:
        """Return how the run stands now."""
        return Snapshot(
            phase=self._phase,
            elapsed_sec=self._elapsed_sec,
            for_sec=self._plan.for_sec,
            counts=self._tally.counts(),
            latency=self._tally.recent_latency(),
            overview=self._watch.latest if self._watch else Overview(),
            stale=self._watch.stale if self._watch else False,
            processes=self._supervisor.statuses(),
            waiting_for=self._waiting_for,
        )


def _undrained(books: Books) -> str:
    try:
        return books.undrained()
    except StoreUnavailableError as exc:
        return str(exc)
