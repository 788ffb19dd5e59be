"""What well-behaved traffic notices of hostile bodies: megabytes, long lists, bombs, deep nests."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING

from tests.bench import load, market
from tests.bench.measurements import Measurement, ratio
from tests.bench.serving import running_bidder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adctl.stores.endpoints import Endpoints

_PER_SEC = 20
_ROUND_SEC = 3.0
_BODIES = 1000


def measure(endpoints: Endpoints, state: Path, rounds: int) -> Iterator[Measurement]:
    """Yield the 99th percentile with and without hostile bodies beside, in turns, and the ratio."""
    bodies = state / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(market.bodies(_BODIES)) + b"\n")
    quiet, beset = [], []
    with running_bidder(endpoints, state) as port:
        load.run(port, bodies, 1)
        for _ in range(rounds):
            quiet.append(load.run(port, bodies, _ROUND_SEC).p99_ms)
            with _hostile_bodies(port):
                beset.append(load.run(port, bodies, _ROUND_SEC).p99_ms)
    alone = Measurement("99th percentile, normal traffic alone", "ms", quiet)
    beside = Measurement(f"99th percentile, with {_PER_SEC} hostile bodies a second", "ms", beset)
    yield alone
    yield beside
    yield ratio("with hostile bodies / alone", beside, alone)


@contextmanager
def _hostile_bodies(port: int) -> Iterator[None]:
    stop = threading.Event()

    def send() -> None:
        for headers, body in cycle(hostile()):
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
