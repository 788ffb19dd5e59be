"""What well-behaved traffic notices of hostile bodies: megabytes, long lists, bombs, deep nests.

Sent at a steady rate well under what the bidder can answer, so that the wait is the bodies' doing
and not the load's.
"""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING

from tests.bench import market
from tests.bench.measurements import Measurement, ratio
from tests.bench.serving import running_bidder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from adctl.stores.endpoints import Endpoints

_PER_SEC = 20
_STEADY_PER_SEC = 300
_CONNECTIONS = 10
_ROUND_SEC = 3.0
_BODIES = 1000


def measure(endpoints: Endpoints, state: Path, rounds: int) -> Iterator[Measurement]:
    """Yield the 99th percentile with and without hostile bodies beside, in turns, and the ratio."""
    bodies = market.bodies(_BODIES)
    attack = hostile()
    quiet, beset = [], []
    with running_bidder(endpoints, state) as port:
        _steady_p99_ms(port, bodies)
        for _ in range(rounds):
            quiet.append(_steady_p99_ms(port, bodies))
            with _sending(attack, port):
                beset.append(_steady_p99_ms(port, bodies))
    rate = f"{_STEADY_PER_SEC} requests a second"
    alone = Measurement(f"99th percentile, {rate} alone", "ms", quiet)
    beside = Measurement(
        f"99th percentile, {rate} with {_PER_SEC} hostile bodies a second", "ms", beset
    )
    yield alone
    yield beside
    yield ratio("with hostile bodies / alone", beside, alone)


def _steady_p99_ms(port: int, bodies: Sequence[bytes]) -> float:
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        waits = [
            wait
            for found in pool.map(
                lambda number: _call_steadily(port, bodies[number::_CONNECTIONS], number),
                range(_CONNECTIONS),
            )
            for wait in found
        ]
    return sorted(waits)[len(waits) * 99 // 100] * 1000


def _call_steadily(port: int, bodies: Sequence[bytes], number: int) -> list[float]:
    """Post at moments set beforehand; a wait counts from its moment, even if sent late."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    client.connect()
    pause = _CONNECTIONS / _STEADY_PER_SEC
    began = time.perf_counter() + pause * number / _CONNECTIONS
    waits = []
    for turn, body in zip(range(round(_ROUND_SEC / pause)), cycle(bodies), strict=False):
        due = began + turn * pause
        time.sleep(max(0, due - time.perf_counter()))
        client.request("POST", "/bid-request", body)
        client.getresponse().read()
        waits.append(time.perf_counter() - due)
    client.close()
    return waits


@contextmanager
def _sending(attack: Sequence[tuple[dict[str, str], bytes]], port: int) -> Iterator[None]:
    stop = threading.Event()

    def send() -> None:
        for headers, body in cycle(attack):
            if stop.wait(1 / _PER_SEC):
                return
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            client.request("POST", "/bid-request", body, headers)
            status = client.getresponse().status
            client.close()
            if status >= 500:
                raise SystemExit(f"a hostile body was answered {status}")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()


def hostile() -> list[tuple[dict[str, str], bytes]]:
    """Return bodies made to cost more than they should, each with its headers."""
    good = json.loads(market.bodies(1)[0])
    plain = {"Content-Type": "application/json"}
    zipped = {**plain, "Content-Encoding": "gzip"}
    lists = {**good, "badv": [f"d{n}.example" for n in range(100_000)]}
    return [
        (plain, json.dumps({**good, "site": {"page": "x" * 1_000_000}}).encode()),
        (plain, json.dumps(lists).encode()),
        (plain, json.dumps({**good, "bcat": [f"IAB{n}" for n in range(30_000)]}).encode()),
        (zipped, gzip.compress(b" " * (64 << 20))),
        (plain, b'{"id":"1","ext":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        (plain, json.dumps({**good, "imp": good["imp"] * 2000}).encode()),
    ]
