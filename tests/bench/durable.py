"""``python -m tests.bench.durable``: what it costs that acknowledged events outlive Redis.

One tracker worker, impressions from 32 callers at once, each way in turns: on this disk, and on one
that takes 1.5 s for every fsync and fdatasync, of Redis and of the tracker.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import psutil

from adctl.config import RedisSettings
from adctl.stores import keys
from adctl.stores.redis import connect
from tests.bench import load
from tests.bench.durable_tracker import JOURNAL, NOTHING, SPOOL, WAITAOF
from tests.bench.measurements import Measurement, markdown, ratio
from tests.bench.serving import running_server
from tests.bench.stores import own_folder
from tests.bench.tracking import KEY, Bids, refuse_errors
from tests.slow_disk import SlowDisk, valkey_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import redis

    from tests.bench.serving import Running

_EVENTS_A_ROUND = 40_000
_HANGING_EVENTS = 2_000
_ROUND_SEC, _HANGING_SEC = 3.0, 6.0
_PATIENCE_MS = 20_000


class Way(NamedTuple):
    """A way to keep what is acknowledged: of the tracker, and of Redis."""

    name: str
    tracker: str
    appendfsync: str


WAYS = (
    Way("nothing but Redis, synced every second", NOTHING, "everysec"),
    Way("Redis synced before each reply (`always`)", NOTHING, "always"),
    Way("`WAITAOF` after each turn", WAITAOF, "everysec"),
    Way("the spool first, synced once a turn", SPOOL, "everysec"),
    Way("the journal, written once a turn", JOURNAL, "everysec"),
)


def measure(rounds: int) -> Iterator[Measurement]:
    """Yield events per second by each way, and how they compare to none, on both disks."""
    with own_folder() as folder, ExitStack() as running:
        disk = SlowDisk(folder / "disk")
        valkey, url = valkey_on(disk, folder / "redis")
        valkey.start(owned=True)
        running.callback(valkey.stop)
        client = running.enter_context(connect(url, RedisSettings(timeout_ms=_PATIENCE_MS)))
        trackers = {
            way: running.enter_context(_tracker(way, url, folder, disk))
            for way in {way.tracker: way for way in WAYS}
        }
        running.enter_context(_flushed(client))
        bids = Bids()
        yield from _compared(client, trackers, folder, rounds, bids)
        yield from _compared(client, trackers, folder, rounds, bids, disk)


def _compared(
    client: redis.Redis,
    trackers: dict[str, Running],
    folder: Path,
    rounds: int,
    bids: Bids,
    hanging: SlowDisk | None = None,
) -> Iterator[Measurement]:
    where = "hanging disk: " if hanging else ""
    answers: dict[Way, list[load.Answered]] = {way: [] for way in WAYS}
    costs: dict[Way, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds if hanging else rounds + 1):
        for way in WAYS:
            client.config_set("appendfsync", way.appendfsync)
            count = _HANGING_EVENTS if hanging and _waits(way) else _EVENTS_A_ROUND
            paths = bids.make(client, count, folder / "impressions.txt")
            # The first round warms up.
            seconds = _HANGING_SEC if hanging else _ROUND_SEC if number else 1
            if hanging:
                hanging.hang()
            tracker = trackers[way.tracker]
            before_sec = _cpu_sec(tracker)
            told = load.run(tracker.port, paths, seconds, "GET", _PATIENCE_MS // 1000)
            cost = (_cpu_sec(tracker) - before_sec) * 1e6 / (told.per_sec * seconds)
            if hanging:
                hanging.heal()
            if number or hanging:
                answers[way].append(told)
                costs[way].append(cost)
            client.config_set("appendfsync", "everysec")
            client.xtrim(keys.events(0), maxlen=0)
    refuse_errors({way.name: told for way, told in answers.items()})
    rates = [
        Measurement(f"{where}{way.name}", "events/s", [one.per_sec for one in told])
        for way, told in answers.items()
    ]
    for rate, told in zip(rates, answers.values(), strict=True):
        yield rate
        yield Measurement(f"{rate.name}: median", "ms", [one.p50_ms for one in told])
    for rate in rates[1:]:
        yield ratio(f"{rate.name} / nothing", rate, rates[0])
    if not hanging:
        for way, cost in costs.items():
            yield Measurement(f"{way.name}: the worker", "µs CPU an event", cost)


def _cpu_sec(tracker: Running) -> float:
    [worker] = psutil.Process(tracker.pid).children()
    return sum(worker.cpu_times()[:2])


def _waits(way: Way) -> bool:
    """Return whether its callers wait for a disk."""
    return way.appendfsync == "always" or way.tracker in (WAITAOF, SPOOL)


@contextmanager
def _tracker(way: str, redis_url: str, folder: Path, disk: SlowDisk) -> Iterator[Running]:
    environment = {
        "ADCTL_STATE_DIR": tempfile.mkdtemp(dir=folder),
        "ADCTL_REDIS_URL": redis_url,
        # A disk that hangs is not to look like a Redis that is away.
        "ADCTL_REDIS_HOT_TIMEOUT_MS": str(_PATIENCE_MS),
        "ADCTL_SIGNING_KEYS": f"1:{KEY.hex()}",
        "ADCTL_SIGNING_USER_KEY": KEY.hex(),
        "ADCTL_TRACKER_WORKERS": "1",
        **disk.environment,
    }
    module = "tests.bench.durable_tracker"
    with running_server(module, way, environment=environment, path="/health/live") as tracker:
        yield tracker


@contextmanager
def _flushed(client: redis.Redis) -> Iterator[None]:
    """Say that Redis is right and PostgreSQL has the whole stream: journals get shorter."""
    stop = threading.Event()

    def say() -> None:
        while not stop.wait(0.5):
            with suppress(Exception):
                client.set(keys.generation(0), f"1 {client.info('server')['run_id']}")
                last_id = client.xinfo_stream(keys.events(0))["last-generated-id"]
                client.set(keys.flushed(0), last_id)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.durable", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args(arguments).rounds
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    sys.stdout.write(f"{markdown(measure(rounds))}\nload by {load.generator()}\n")


if __name__ == "__main__":
    main()
