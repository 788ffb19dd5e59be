"""Answers per second over HTTP: a bare server of ours, a stock one, and the bidder."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from adctl.config import RedisSettings
from adctl.control.load import Endpoint, post_steadily
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from tests.bench import load, market
from tests.bench.measurements import Measurement, ratio
from tests.bench.stores import own_stores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from adctl.models import Campaign
    from adctl.stores.endpoints import Endpoints

_BARE = "tests.bench.bare"
OURS = "our server, nothing to decide"
DIRECT = "our server past WSGI, nothing to decide"
STOCK = "Falcon and stock waitress, 4 threads, nothing to decide"
TWO_STOCK = "the same, two workers"
TWO_BIDDERS = "the bidder, two workers, 1,000 campaigns"
ALL_BIDS = "the bidder, 1,000 campaigns, asked only for what it bids on"
SERVED = 1_000
STEADY_PER_SEC = 1_000
_BODIES = 1000
_ROUND_SEC = 3.0
_STEADY_SEC = 4.0
_OUTCOMES = re.compile(r'^adctl_bid_requests_total\{outcome="(\w+)"\} (\S+)$', re.MULTILINE)


class Running(NamedTuple):
    """A server's process, and where it listens."""

    port: int
    pid: int


class Served(NamedTuple):
    """Who answers, and where; ``bodies`` are what it is asked."""

    port: int
    pid: int
    bodies: Path


def measure(state: Path, rounds: int, counts: Sequence[int]) -> Iterator[Measurement]:
    """Yield answers per second and latencies of all servers, in turns, and their ratios.

    The bidder decides on each of ``counts`` campaigns; SERVED must be one of them. Each catalog has
    stores of its own: what a large one does to Redis is no matter of a small one.
    """
    mixed, bids = state / "mixed.jsonl", state / "bodies.jsonl"
    mixed.write_bytes(b"\n".join(market.mixed_bodies(_BODIES)) + b"\n")
    bids.write_bytes(b"\n".join(market.bodies(_BODIES)) + b"\n")
    with ExitStack() as running:
        served = {
            name: Served(*running.enter_context(running_server(_BARE, *arguments)), mixed)
            for name, arguments in {
                OURS: ("single-threaded", "1"),
                DIRECT: ("direct", "1"),
                STOCK: ("stock", "1"),
                TWO_STOCK: ("stock", "2"),
            }.items()
        }
        for count in counts:
            endpoints, _ = running.enter_context(own_stores())
            stock_up(endpoints, market.campaigns(count))
            began = time.perf_counter()
            bidder = running.enter_context(running_bidder(endpoints, state / f"of-{count}"))
            ready_sec = time.perf_counter() - began
            served[bidder_of(count)] = Served(*bidder, mixed)
            yield Measurement(f"{bidder_of(count)}: ready after", "s", [ready_sec])
            if count == SERVED:
                two = running.enter_context(running_bidder(endpoints, state / "of-two", workers=2))
                served[TWO_BIDDERS] = Served(*two, mixed)
                served[ALL_BIDS] = Served(*bidder, bids)
        yield from _answers_per_sec(served, rounds, counts)
        yield from _waits(served[bidder_of(SERVED)], rounds)
        for count in counts:
            yield _memory(bidder_of(count), served[bidder_of(count)].pid)


def bidder_of(count: int) -> str:
    """Return what the table calls a bidder with one worker and so many campaigns."""
    return f"the bidder, {count:,} campaigns"


def stock_up(endpoints: Endpoints, campaigns: list[Campaign]) -> None:
    """Make these the catalog in Redis, each with its budget. Who has read another one keeps it."""
    with connect(endpoints.redis_url, RedisSettings()) as client:
        CatalogStore(client).fill(campaigns)
        budgets, day = Budgets(client), today()
        for campaign in campaigns:
            budgets.sync(campaign, day)


def today() -> date:
    """Return the date that budgets are of: the bench's campaigns have no zone of their own."""
    return datetime.now(UTC).date()


def _answers_per_sec(
    served: Mapping[str, Served], rounds: int, counts: Sequence[int]
) -> Iterator[Measurement]:
    for one in served.values():
        load.run(one.port, one.bodies, 1)
    mixed = served[bidder_of(SERVED)].port
    before = _outcomes(mixed)
    answers: dict[str, list[load.Answered]] = {name: [] for name in served}
    for _ in range(rounds):
        for name, one in served.items():
            if name == ALL_BIDS:
                continue
            answers[name].append(load.run(one.port, one.bodies, _ROUND_SEC))
    after = _outcomes(mixed)
    for _ in range(rounds):
        one = served[ALL_BIDS]
        answers[ALL_BIDS].append(load.run(one.port, one.bodies, _ROUND_SEC))
    errors = {name: sum(one.errors for one in told) for name, told in answers.items()}
    if any(errors.values()):
        raise SystemExit(f"answers that were no 2xx: {errors}")
    rates = {
        name: Measurement(name, "answers/s", [one.per_sec for one in told])
        for name, told in answers.items()
    }
    for name, told in answers.items():
        yield rates[name]
        yield Measurement(f"{name}: median", "ms", [one.p50_ms for one in told])
        yield Measurement(f"{name}: 99th percentile", "ms", [one.p99_ms for one in told])
    bids = after.get("bid", 0) - before.get("bid", 0)
    answered = sum(after.values()) - sum(before.values())
    yield Measurement("share of the bidder's answers that were bids", "%", [100 * bids / answered])
    one = rates[bidder_of(SERVED)]
    yield ratio("our server / stock waitress", rates[OURS], rates[STOCK])
    yield ratio("the bidder, one worker / our server", one, rates[OURS])
    yield ratio("the bidder, one worker / our server past WSGI", one, rates[DIRECT])
    yield ratio("the same, bids only / our server", rates[ALL_BIDS], rates[OURS])
    yield ratio("two workers / two of stock waitress", rates[TWO_BIDDERS], rates[TWO_STOCK])
    for count in counts:
        if count != SERVED:
            yield ratio(f"{count:,} campaigns / 1,000", rates[bidder_of(count)], one)


def _waits(bidder: Served, rounds: int) -> Iterator[Measurement]:
    endpoint, bodies = at(bidder.port), bidder.bodies.read_bytes().splitlines()
    told = [
        post_steadily(endpoint, bodies, STEADY_PER_SEC, _STEADY_SEC, load.CONNECTIONS)
        for _ in range(rounds)
    ]
    if any(one.failed for one in told):
        raise SystemExit(f"answers at a steady rate that were no 2xx: {told}")
    steady = f"one worker at {STEADY_PER_SEC:,} requests/s"
    yield Measurement(f"{steady}: median", "ms", [one.p50_ms for one in told])
    yield Measurement(f"{steady}: 99th percentile", "ms", [one.p99_ms for one in told])
    yield Measurement(f"{steady}: 99.9th percentile", "ms", [one.p999_ms for one in told])


def at(port: int) -> Endpoint:
    """Return where a bidder on this machine is asked."""
    return Endpoint("127.0.0.1", port, "/bid-request")


def _memory(name: str, pid: int) -> Measurement:
    [worker, *_] = psutil.Process(pid).children()
    return Measurement(f"{name}: memory of a worker", "MB", [worker.memory_info().rss / 1e6])


@contextmanager
def running_bidder(endpoints: Endpoints, state: Path, workers: int = 1) -> Iterator[Running]:
    """Run the bidder on these stores, with the catalog that is in Redis now."""
    state.mkdir(exist_ok=True)
    environment = {
        "ADCTL_BIDDER_WORKERS": str(workers),
        # What is in Redis later is another bidder's.
        "ADCTL_CATALOG_REFRESH_SEC": "3600",
        "ADCTL_STATE_DIR": str(state),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        "ADCTL_TRACKER_PUBLIC_URL": "https://t.example",
    }
    with running_server("daemons.bidder", environment=environment, path="/health/ready") as bidder:
        yield bidder


@contextmanager
def running_server(
    module: str, *arguments: str, environment: dict[str, str] | None = None, path: str = "/"
) -> Iterator[Running]:
    """Run ``python -m module``, with its port as the last of its arguments if it has any."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, *([str(port)] if arguments else [])],
            env={**os.environ, **(environment or {}), **_listening_on(port)},
            stderr=log,
        )
        try:
            if not _answers(process, f"http://127.0.0.1:{port}{path}"):
                log.seek(0)
                raise SystemExit(f"{module} did not come up:\n{log.read().decode()}")
            yield Running(port, process.pid)
        finally:
            _end(process)


def _listening_on(port: int) -> dict[str, str]:
    return {f"ADCTL_{daemon}_PORT": str(port) for daemon in ("BIDDER", "TRACKER")}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Return True once there is an answer, False if there will be none."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except urllib.error.HTTPError as exc:
            if exc.code == 404:
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def _outcomes(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        return {name: float(count) for name, count in _OUTCOMES.findall(reply.read().decode())}
