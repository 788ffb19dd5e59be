"""``python -m tests.bench.whole [--for 60]``: the bidder's answers while every daemon runs.

All stores and all daemons on this machine, as `adctl up` runs them, with 1,000 campaigns that were
created as an operator would; the load comes from this program, on the same processors.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

from adctl.config import load_settings
from adctl.control import advertisers, campaigns, creatives
from adctl.control.load import find_limit, post_steadily
from adctl.control.plane import ControlPlane
from adctl.control.supervision import Supervisor
from adctl.demo.run import demo_environment
from adctl.stores.catalog import CatalogStore
from adctl.stores.endpoints import resolve
from adctl.stores.redis import connect
from adctl.stores.sharded_budgets import open_budgets
from adctl.stores.tables import open_engine
from tests.bench import load, market
from tests.bench.measurements import Measurement, markdown
from tests.bench.serving import SERVED, STEADY_PER_SEC, at
from tests.bench.stores import own_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adctl.control.load import Load
    from adctl.models import Campaign

_ACTOR = "bench"
WORKERS = 2
_BODIES = 1_000
TRY_SEC = 5
P99_MS = 100


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.whole", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=int, default=60, help="at the steady rate")
    parser.add_argument("--try", dest="try_sec", type=int, default=TRY_SEC, help="each rate, s")
    parser.add_argument("--workers", type=int, default=WORKERS, help="of the bidder")
    arguments = parser.parse_args()
    told = measure(arguments.seconds, arguments.try_sec, arguments.workers)
    sys.stdout.write(markdown(list(told)) + "\n")


def measure(seconds: float, try_sec: float, workers: int) -> Iterator[Measurement]:
    """Yield the waits at a steady rate for ``seconds``, and the highest rate with p99 in 100 ms.

    Each rate on the way to that is tried for ``try_sec``.
    """
    with _everything(workers) as supervisor:
        port = supervisor.settings.bidder.port
        bodies = market.mixed_bodies(_BODIES)
        post_steadily(at(port), bodies, STEADY_PER_SEC / 4, 2, load.CONNECTIONS)
        before = _cpu_sec(supervisor)
        steady = post_steadily(at(port), bodies, STEADY_PER_SEC, seconds, load.CONNECTIONS)
        taken = {who: sec - before[who] for who, sec in _cpu_sec(supervisor).items()}
        name = f"every daemon running, {STEADY_PER_SEC:,} requests/s for {seconds:.0f} s"
        yield Measurement(f"{name}: answers", "answers/s", [steady.answered / steady.seconds])
        yield Measurement(f"{name}: errors", "errors", [steady.failed])
        yield from _waits(name, steady)
        for who, sec in taken.items():
            share = 100 * sec / steady.seconds
            yield Measurement(f"{name}: {who}", "% of a processor", [share])
        tried = list(
            find_limit(
                lambda rate: post_steadily(at(port), bodies, rate, try_sec, load.CONNECTIONS),
                P99_MS,
                STEADY_PER_SEC,
            )
        )
    held = [one for one in tried if one.holds(P99_MS)] or [tried[-1]]
    highest = max(held, key=lambda one: one.asked_per_sec)
    name = f"every daemon running, the highest rate with p99 within {P99_MS} ms"
    yield Measurement(name, "requests/s", [highest.asked_per_sec])
    yield from _waits(name, highest)


def _waits(name: str, told: Load) -> Iterator[Measurement]:
    yield Measurement(f"{name}: median", "ms", [told.p50_ms])
    yield Measurement(f"{name}: 99th percentile", "ms", [told.p99_ms])
    yield Measurement(f"{name}: 99.9th percentile", "ms", [told.p999_ms])
    yield Measurement(f"{name}: the generator's own lag, 99th percentile", "ms", [told.lag_ms])


def _cpu_sec(supervisor: Supervisor) -> dict[str, float]:
    """Return the CPU time that every process of the product has taken, and this one."""
    pids = {one.name: one.pid for one in supervisor.statuses()}
    taken = {name: _family_cpu_sec(psutil.Process(pid)) for name, pid in pids.items()}
    return {**taken, "load generator": _own_cpu_sec(psutil.Process())}


def _family_cpu_sec(process: psutil.Process) -> float:
    return sum(_own_cpu_sec(one) for one in (process, *process.children(recursive=True)))


def _own_cpu_sec(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _everything(workers: int) -> Iterator[Supervisor]:
    """Run all of it in a folder of its own."""
    with own_folder() as folder:
        workers_too = {"ADCTL_BIDDER_WORKERS": str(workers)}
        environment = {**demo_environment(os.environ, folder), **workers_too}
        os.environ.update(environment)
        supervisor = Supervisor(load_settings(), environment, lambda _what: None)
        try:
            supervisor.start(threading.Event())
            _create(supervisor)
            yield supervisor
        finally:
            supervisor.stop()
            for name in [name for name in os.environ if name.startswith("ADCTL_")]:
                del os.environ[name]


def _create(supervisor: Supervisor) -> None:
    settings = supervisor.settings
    endpoints = resolve(settings)
    engine = open_engine(endpoints.postgres_url, settings.postgres)
    try:
        with connect(endpoints.redis_url, settings.redis) as client:
            plane = ControlPlane(
                engine, CatalogStore(client), open_budgets(client, settings.redis.shards)
            )
            advertisers.create(plane, _ACTOR, {"name": "bench"})
            for campaign in market.campaigns(SERVED):
                made = campaigns.create(plane, _ACTOR, _fields(campaign)).view
                for creative in campaign.creatives:
                    size = f"{creative.width}x{creative.height}"
                    fields = {
                        "name": str(creative.id),
                        "size": size,
                        "landing_url": creative.landing_url,
                        "image_url": creative.image_url,
                        "cat": list(creative.cat),
                    }
                    creatives.create(plane, _ACTOR, made.id, fields)
    finally:
        engine.dispose()


def _fields(campaign: Campaign) -> dict[str, Any]:
    targeting = campaign.targeting
    return {
        "advertiser": "bench",
        "name": campaign.name,
        "budget": "1000000",
        "pacing": "asap",
        "bid": f"{campaign.bid_amount_micros / 1_000_000:.6f}",
        "caps": [f"{cap.limit}/{cap.window_sec // 3600}h" for cap in campaign.caps],
        "targeting": {
            "countries": list(targeting.countries),
            "devices": list(targeting.devices),
            "categories": list(targeting.categories),
            "segments": {"any": list(targeting.segments.any)},
        },
    }


if __name__ == "__main__":
    main()
