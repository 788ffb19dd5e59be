"""``python -m tests.chaos.memory [--for SEC]``: events for ten minutes, and whether memory grows.

Samples the resident memory of every daemon, workers included, once a second. What a daemon gains
after its warm-up, by the straight line through its samples, has to stay within a bound. Ends with 1
if it does not, or if any claim about the events does not hold.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from adctl.config import load_settings
from adctl.control.daemon_process import START_ORDER
from adctl.control.supervision import Supervisor
from adctl.demo.plan import Plan
from adctl.demo.run import DemoRun, Phase, demo_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adctl.demo.campaigns import Sample
    from adctl.demo.run import Snapshot
    from adctl.demo.summary import Summary

_WARM_UP_SHARE = 0.3
_EVERY_SEC = 1.0
_MIB = 1 << 20
# A leak of fifty bytes an event is more than that in ten minutes.
_BOUND_MIB = 4.0
BOUNDED = ("flusher", "consumer", "tracker")
_SAMPLES: tuple[Sample, ...] = tuple(
    ("Memory", name, ("300x250", "320x50", "728x90"), {"budget": "100000", "pacing": "asap", **bid})
    for name, bid in (("views", {"bid": "3.00"}), ("clicks", {"strategy": "cpc", "bid": "2.40"}))
)


class Growth(NamedTuple):
    """A daemon's memory after its warm-up, in MiB: at first, at last, and gained by the line."""

    name: str
    first_mib: float
    last_mib: float
    gained_mib: float

    @property
    def bounded(self) -> bool:
        """Whether it is one that must not grow, and does not."""
        return self.name not in BOUNDED or self.gained_mib <= _BOUND_MIB


class Scale:
    """Weighs every daemon once a second while there is traffic."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._next_sec = 0.0

    def tick(self, snapshot: Snapshot) -> None:
        """Be told how the run stands."""
        if snapshot.phase is not Phase.TRAFFIC or snapshot.elapsed_sec < self._next_sec:
            return
        self._next_sec = snapshot.elapsed_sec + _EVERY_SEC
        for status in snapshot.processes:
            if status.kind == "daemon":
                at = (snapshot.elapsed_sec, _resident_mib(status.pid))
                self._samples[status.name].append(at)

    def growths(self) -> list[Growth]:
        """Return what every daemon has gained since its warm-up."""
        return [_growth(name, samples) for name, samples in self._samples.items()]


def _growth(name: str, samples: Sequence[tuple[float, float]]) -> Growth:
    warm = [at for at in samples if at[0] >= samples[-1][0] * _WARM_UP_SHARE]
    seconds, mib = zip(*warm, strict=True)
    line = statistics.linear_regression(seconds, mib)
    return Growth(name, mib[0], mib[-1], line.slope * (seconds[-1] - seconds[0]))


def _resident_mib(pid: int) -> float:
    parent = psutil.Process(pid)
    family = (parent, *parent.children(recursive=True))
    return float(sum(process.memory_info().rss for process in family)) / _MIB


def run_memory(for_sec: int, rate: int) -> tuple[Summary, list[Growth]]:
    """Run the product under traffic; return what happened and what its daemons gained."""
    scale = Scale()
    with tempfile.TemporaryDirectory(prefix="adctl-memory-") as folder:
        # PostgreSQL's own account must get through when we are root.
        Path(folder).chmod(0o711)
        overrides: dict[str, object] = {name: {"port": 0} for name in START_ORDER}
        settings = load_settings(overrides={**overrides, "state_dir": folder})
        environment = demo_environment(os.environ, Path(folder))
        supervisor = Supervisor(settings, environment, lambda _: None)
        demo = DemoRun(Plan(for_sec, rate, 1, ()), supervisor, scale.tick, _SAMPLES)
        try:
            summary = demo.run(threading.Event())
        finally:
            supervisor.stop()
    assert summary is not None
    return summary, scale.growths()


def main() -> int:
    """Do it, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.memory", description=__doc__)
    parser.add_argument("--for", dest="for_sec", type=int, default=600, metavar="SEC")
    parser.add_argument("--rate", type=int, default=100, help="bid requests a second")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    summary, growths = run_memory(arguments.for_sec, arguments.rate)
    acknowledged = sum(int(str(row["acknowledged"])) for row in summary.events)
    sys.stdout.write(f"{acknowledged} events in {arguments.for_sec} s\n")
    for growth in growths:
        sys.stdout.write(
            f"{growth.name:9} {growth.first_mib:7.1f} MiB -> {growth.last_mib:7.1f} MiB, "
            f"gained {growth.gained_mib:+.2f} MiB{'' if growth.bounded else '  TOO MUCH'}\n"
        )
    for check in summary.failed:
        sys.stdout.write(f"not so: {check.claim}: {check.found}\n")
    return 1 if summary.failed or not all(growth.bounded for growth in growths) else 0


if __name__ == "__main__":
    sys.exit(main())
