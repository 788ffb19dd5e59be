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
from typing import TYPE_CHECKING, NamedTuple

from tests.bench import load, market
from tests.bench.measurements import Measurement, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adctl.stores.endpoints import Endpoints

OURS = "our server, prepared answer"
STOCK = "Falcon and stock waitress, 4 threads, prepared answer"
BIDDER = "the bidder, one worker"
_BODIES = 1000
_ROUND_SEC = 3.0
_OUTCOMES = re.compile(r'^adctl_bid_requests_total\{outcome="(\w+)"\} (\S+)$', re.MULTILINE)


class Running(NamedTuple):
    """A server's process, and where it listens."""

    port: int
    pid: int


def measure(endpoints: Endpoints, state: Path, rounds: int) -> Iterator[Measurement]:
    """Yield answers per second and latencies of all three, in turns, and their ratios."""
    bodies = state / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(market.bodies(_BODIES)) + b"\n")
    answers: dict[str, list[load.Answered]] = {OURS: [], STOCK: [], BIDDER: []}
    with ExitStack() as running:
        ports = {
            OURS: running.enter_context(running_server("tests.bench.bare", "single-threaded")).port,
            STOCK: running.enter_context(running_server("tests.bench.bare", "stock")).port,
            BIDDER: running.enter_context(running_bidder(endpoints, state)).port,
        }
        for port in ports.values():
            load.run(port, bodies, 1)
        before = _outcomes(ports[BIDDER])
        for _ in range(rounds):
            for name, port in ports.items():
                answers[name].append(load.run(port, bodies, _ROUND_SEC))
        outcomes = _outcomes(ports[BIDDER])
    errors = {name: sum(one.errors for one in rounds_) for name, rounds_ in answers.items()}
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
    answered = sum(outcomes.values()) - sum(before.values())
    bids = outcomes.get("bid", 0) - before.get("bid", 0)
    yield Measurement("share of the bidder's answers that were bids", "%", [100 * bids / answered])
    yield ratio("our server / stock waitress", rates[OURS], rates[STOCK])
    yield ratio("the bidder / our server", rates[BIDDER], rates[OURS])
    yield ratio("the bidder / stock waitress", rates[BIDDER], rates[STOCK])


@contextmanager
def running_bidder(endpoints: Endpoints, state: Path) -> Iterator[Running]:
    """Run the bidder with one worker on these stores."""
    environment = {
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
    deadline = time.monotonic() + 20
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
