"""``python -m tests.chaos.slow_disk [--times N]``: Redis is killed under load while its disk hangs.

Its disk takes a second and a half for every fsync, so that it keeps in memory what it has
acknowledged. Every other time one of the tracker's workers is killed with it. Whatever was
acknowledged has to be in PostgreSQL afterwards, once.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import signal
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import psutil
import psycopg

from adctl.control.daemon_process import DaemonProcess, Health
from adctl.delivery.tokens import BidToken, Signer
from adctl.delivery.tracking_urls import tracking_urls
from adctl.stores.embedded.ports import free_port
from adctl.stores.migrations import migrate
from tests.bench.stores import own_stores
from tests.slow_disk import SlowDisk, valkey_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adctl.stores.endpoints import Endpoints

DRAINED_WITHIN_SEC = 30.0
_KEY = bytes(range(32))
_CALLERS = 4
_BEFORE_SEC, _AFTER_SEC = 2.5, 1.0
_WORKERS = 2


class Round(NamedTuple):
    """One time: what was acknowledged, forgotten by Redis and taken again, and what came of it."""

    acknowledged: int
    retaken: int
    lost: int
    twice: int
    drained_sec: float

    @property
    def holds(self) -> bool:
        """Whether all of it is in PostgreSQL, once."""
        return not (self.lost or self.twice) and self.acknowledged > 0


class _Caller(threading.Thread):
    """Tells impressions of bids of its own, one after the other, until it is told to stop."""

    def __init__(self, number: int, port: int, stop: threading.Event) -> None:
        super().__init__(name=f"caller-{number}")
        self._bids = iter(range(number << 40, (number + 1) << 40))
        self._signer = Signer({1: _KEY})
        self._port = port
        self._stopping = stop
        self.acknowledged: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stopping.is_set():
            bid_id = f"{next(self._bids):024x}"
            try:
                connection.request("GET", self._path(bid_id))
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()  # its worker was killed: nothing was acknowledged
                continue
            if answer.status == http.HTTPStatus.OK:
                self.acknowledged.append(f"{bid_id}:impression")
        connection.close()

    def _path(self, bid_id: str) -> str:
        now_ms = time.time_ns() // 1_000_000
        token = BidToken(bid_id, 1, 1, "default", 2_000_000, now_ms, now_ms // 60_000)
        return tracking_urls("", self._signer, token).impression.replace("${AUCTION_PRICE}", "1.5")


class World:
    """PostgreSQL, a Redis on a disk that may hang, a tracker of two workers, flusher and pacer."""

    def __init__(self, endpoints: Endpoints, folder: Path, running: ExitStack) -> None:
        migrate(endpoints.postgres_url)
        self.disk = SlowDisk(folder / "disk")
        self.valkey, redis_url = valkey_on(self.disk, folder / "redis")
        self.valkey.start(owned=True)
        running.callback(self.valkey.stop)
        self._environment = {
            **os.environ,
            "ADCTL_STATE_DIR": str(folder / "state"),
            "ADCTL_POSTGRES_URL": endpoints.postgres_url,
            "ADCTL_REDIS_URL": redis_url,
            "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
            "ADCTL_SIGNING_KEYS": f"1:{_KEY.hex()}",
            "ADCTL_SIGNING_USER_KEY": _KEY.hex(),
            "ADCTL_TRACKER_WORKERS": str(_WORKERS),
        }
        (folder / "state").mkdir()
        self._folder = folder
        self.tracker = self._daemon("tracker", running)
        self._daemon("flusher", running)
        self._daemon("pacer", running)
        self._postgres = running.enter_context(
            psycopg.connect(endpoints.postgres_url, autocommit=True)
        )

    def _daemon(self, name: str, running: ExitStack) -> DaemonProcess:
        port = free_port("127.0.0.1")
        environment = {**self._environment, f"ADCTL_{name.upper()}_PORT": str(port)}
        process = DaemonProcess(
            name, ("127.0.0.1", port), environment, self._folder / f"{name}.log"
        )
        lock = os.open(os.devnull, os.O_RDONLY)
        running.callback(os.close, lock)
        process.start(lock)
        running.callback(process.stop)
        deadline = time.monotonic() + 30
        while process.readiness().health is not Health.READY:
            if time.monotonic() > deadline:
                raise process.failure()
            time.sleep(0.05)
        return process

    def play(self, number: int, rng: random.Random) -> Round:
        """Kill Redis under load while its disk hangs, start it again, and count."""
        before = self._retaken()
        stop = threading.Event()
        callers = [
            _Caller(number * _CALLERS + one, self.tracker.port, stop) for one in range(_CALLERS)
        ]
        self.disk.hang()
        for caller in callers:
            caller.start()
        time.sleep(_BEFORE_SEC + rng.uniform(0, 1.5))
        if number % 2:
            workers = psutil.Process(self.tracker.pid).children()
            os.kill(rng.choice(workers).pid, signal.SIGKILL)
        os.kill(self.valkey.pid, signal.SIGKILL)
        self.valkey.respawn()
        time.sleep(_AFTER_SEC)
        stop.set()
        for caller in callers:
            caller.join()
        self.disk.heal()
        told = {one for caller in callers for one in caller.acknowledged}
        lost, drained_sec = self._drain(told)
        return Round(len(told), self._retaken() - before, lost, self._twice(), drained_sec)

    def _drain(self, told: set[str]) -> tuple[int, float]:
        """Return how many of them never come to PostgreSQL, and how long it took."""
        began = time.monotonic()
        # A range and not a list: of thousands of ids PostgreSQL compares every row with each, until
        # it has counted the table.
        query = 'SELECT event_id FROM event WHERE event_id COLLATE "C" BETWEEN %s AND %s'
        while True:
            stored = self._postgres.execute(query, [min(told), max(told)]) if told else ()
            missing = told - {event_id for (event_id,) in stored}
            took = time.monotonic() - began
            if not missing or took > DRAINED_WITHIN_SEC:
                return len(missing), took
            time.sleep(0.2)

    def _twice(self) -> int:
        query = "SELECT count(*) FROM (SELECT FROM event GROUP BY event_id HAVING count(*) > 1) t"
        [(count,)] = self._postgres.execute(query).fetchall()
        return int(count)

    def _retaken(self) -> int:
        url = f"http://127.0.0.1:{self.tracker.port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as reply:
            text = reply.read().decode()
        [count] = re.findall(r"^adctl_journal_retaken_total (\S+)$", text, re.MULTILINE) or ["0"]
        return int(float(count))


def run(times: int, seed: int = 1) -> Iterator[Round]:
    """Yield what came of each time, on stores and daemons of their own."""
    rng = random.Random(seed)
    with own_stores() as (endpoints, folder), ExitStack() as running:
        world = World(endpoints, folder, running)
        for number in range(times):
            yield world.play(number, rng)


def main() -> int:
    """Do it, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.slow_disk", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("ADCTL_")]:
        del os.environ[name]
    rounds = []
    for one in run(arguments.times, arguments.seed):
        rounds.append(one)
        sys.stdout.write(
            f"{len(rounds)}: {'holds' if one.holds else 'FAILS'}; "
            f"{one.acknowledged} acknowledged, {one.retaken} of them forgotten by Redis, "
            f"{one.lost} lost, {one.twice} twice, drained in {one.drained_sec:.1f} s\n"
        )
        sys.stdout.flush()
    held = sum(one.holds for one in rounds)
    sys.stdout.write(f"{held} of {len(rounds)} times nothing was lost\n")
    return 0 if held == len(rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
