"""What hostile bodies cost the bidder, and what well-behaved traffic notices of them.

The cost is the CPU time of the worker's loop, which another load on the machine hardly changes:
for as long the loop answers nobody else. Traffic is sent at a steady rate well under what the
bidder can answer, so that the wait is the bodies' doing and not the load's.
"""

from __future__ import annotations

import gzip
import http.client
import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.bench import market
from tests.bench.measurements import Measurement, ratio
from tests.bench.serving import running_bidder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Event

    from adctl.stores.endpoints import Endpoints
    from tests.bench.serving import Running

_PER_SEC = 20
_STEADY_PER_SEC = 300
_CONNECTIONS = 10
_SLICE_SEC = 1.5
_BODIES = 1000
_BIDS = 300
_REPEATS = 5
# What is sent beside the traffic. As many requests more, each on a connection of its own as hostile
# bodies are, tell what of the difference is the bodies' doing.
_BESIDE = (
    "alone",
    f"with {_PER_SEC} more on new connections",
    f"with {_PER_SEC} hostile bodies",
)
_MANY = 11_900  # just below what a request may hold


class Post(NamedTuple):
    """A body with its headers."""

    headers: dict[str, str]
    body: bytes

    def send(self, port: int) -> None:
        """Post it over a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("POST", "/bid-request", self.body, self.headers)
        status = client.getresponse().status
        client.close()
        if status >= 500:
            raise SystemExit(f"a hostile body was answered {status}")


def measure(endpoints: Endpoints, state: Path, rounds: int) -> Iterator[Measurement]:
    """Yield what bids and hostile bodies cost, then waits with and without such bodies beside."""
    bodies = market.bodies(_BODIES)
    with running_bidder(endpoints, state) as bidder:
        _waits(bidder.port, bodies)
        yield from _costs(bidder, bodies, rounds)
        yield from _notices(bidder.port, bodies, rounds)


def _costs(bidder: Running, bodies: Sequence[bytes], rounds: int) -> Iterator[Measurement]:
    posts = [Post({}, body) for body in bodies[:_BIDS]]
    bid = Measurement(
        "a request, on a connection of its own",
        "ms CPU",
        [median(_cost_ms(bidder, post) for post in posts) for _ in range(rounds)],
    )
    attacks = [
        Measurement(
            f"the dearest hostile body: {name}",
            "ms CPU",
            [median(_cost_ms(bidder, post) for _ in range(_REPEATS)) for _ in range(rounds)],
        )
        for name, post in hostile().items()
    ]
    dearest = max(attacks, key=lambda one: median(one.rounds))
    yield bid
    yield Measurement(
        f"a hostile body, on average of {len(attacks)} kinds",
        "ms CPU",
        [
            sum(of_round) / len(attacks)
            for of_round in zip(*(a.rounds for a in attacks), strict=True)
        ],
    )
    yield dearest
    yield ratio("the dearest hostile body / a request", dearest, bid)


def _cost_ms(bidder: Running, post: Post) -> float:
    began = _loop_ns(bidder)
    post.send(bidder.port)
    # What is left to do after the answer: closing the connection.
    time.sleep(0.001)
    return (_loop_ns(bidder) - began) / 1e6


def _loop_ns(bidder: Running) -> int:
    """Return the CPU time of the first worker's main thread, which is its loop."""
    [worker, *_] = Path(f"/proc/{bidder.pid}/task/{bidder.pid}/children").read_text().split()
    return int(Path(f"/proc/{worker}/schedstat").read_text().split()[0])


def _notices(port: int, bodies: Sequence[bytes], rounds: int) -> Iterator[Measurement]:
    found: dict[str, list[float]] = {beside: [] for beside in _BESIDE}
    with _sender(port) as sending:
        for _ in range(rounds):
            waits: dict[str, list[float]] = {beside: [] for beside in _BESIDE}
            # In this order a machine that becomes slower, or faster, is so for all.
            for beside in (*_BESIDE, *reversed(_BESIDE)):
                sending.value = _BESIDE.index(beside)
                waits[beside] += _waits(port, bodies)
            sending.value = 0
            for beside in _BESIDE:
                found[beside].append(_p99_ms(waits[beside]))
    measured = {
        beside: Measurement(
            f"99th percentile, {_STEADY_PER_SEC} requests a second {beside}", "ms", p99s
        )
        for beside, p99s in found.items()
    }
    yield from measured.values()
    alone, more, hostile_too = measured.values()
    yield ratio("with hostile bodies / alone", hostile_too, alone)
    yield ratio("with hostile bodies / with as many more requests", hostile_too, more)


def _p99_ms(waits: list[float]) -> float:
    return sorted(waits)[len(waits) * 99 // 100] * 1000


def _waits(port: int, bodies: Sequence[bytes]) -> list[float]:
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        found = pool.map(
            lambda number: _call_steadily(port, bodies[number::_CONNECTIONS], number),
            range(_CONNECTIONS),
        )
        return [wait for waits in found for wait in waits]


def _call_steadily(port: int, bodies: Sequence[bytes], number: int) -> list[float]:
    """Post at moments set beforehand; a wait counts from its moment, even if sent late."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    client.connect()
    pause = _CONNECTIONS / _STEADY_PER_SEC
    began = time.perf_counter() + pause * number / _CONNECTIONS
    waits = []
    for turn, body in zip(range(round(_SLICE_SEC / pause)), cycle(bodies), strict=False):
        due = began + turn * pause
        time.sleep(max(0, due - time.perf_counter()))
        client.request("POST", "/bid-request", body)
        client.getresponse().read()
        waits.append(time.perf_counter() - due)
    client.close()
    return waits


@contextmanager
def _sender(port: int) -> Iterator[Synchronized[int]]:
    """Run a process that sends what the value says, by its place in ``_BESIDE``.

    In this one it would hold up those who measure.
    """
    context = multiprocessing.get_context("spawn")
    ready, sending = context.Event(), context.Value("i", 0)
    process = context.Process(target=_send, args=(port, ready, sending), daemon=True)
    process.start()
    try:
        if not ready.wait(30):
            raise SystemExit("the sender of hostile bodies did not come up")
        yield sending
        if not process.is_alive():
            raise SystemExit("the sender of hostile bodies has failed")
    finally:
        process.terminate()
        process.join()


def _send(port: int, ready: Event, sending: Synchronized[int]) -> None:
    good = [Post({}, body) for body in market.bodies(_BIDS)]
    turns = (None, cycle(good), cycle(hostile().values()))
    ready.set()
    while True:
        due = time.perf_counter() + 1 / _PER_SEC
        if (turn := turns[sending.value]) is not None:
            next(turn).send(port)
        time.sleep(max(0, due - time.perf_counter()))


def hostile() -> dict[str, Post]:
    """Return bodies made to cost more than they should: refused ones, and the dearest not."""
    good: dict[str, Any] = json.loads(market.bodies(1)[0])
    [imp, *_] = good["imp"]
    site, user = {"page": "https://news.example/"}, {"id": "u"}
    segments = [{"id": f"s{n}"} for n in range(_MANY)]
    plain = {"Content-Type": "application/json"}
    zipped = {**plain, "Content-Encoding": "gzip"}
    posts = {
        name: Post(plain, json.dumps({**good, **changes}).encode())
        for name, changes in {
            "a string of a megabyte": {"site": {"page": "x" * 1_000_000}},
            "an id of 200 KB": {"id": "x" * 200_000},
            "100,000 blocked domains": {"badv": [f"d{n}.example" for n in range(100_000)]},
            "30,000 blocked categories": {"bcat": [f"IAB{n}" for n in range(30_000)]},
            "2,000 impressions": {"imp": [{**imp, "id": str(n)} for n in range(2000)]},
            "250 impressions": {"imp": [{**imp, "id": str(n)} for n in range(250)]},
            "5,000 sizes": {"imp": [{"id": "1", "banner": {"format": [{"w": 1, "h": 1}] * 5000}}]},
            "1,000 categories": {"site": {**site, "cat": [f"IAB{n}" for n in range(1000)]}},
            f"{_MANY:,} categories": {"site": {**site, "cat": [f"IAB{n}" for n in range(_MANY)]}},
            f"{_MANY:,} languages": {"wlang": [f"x{n}" for n in range(_MANY)]},
            f"{_MANY:,} segments": {"user": {**user, "data": [{"segment": segments}]}},
        }.items()
    }
    nested = b'{"id":"1","ext":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    chunked = {**plain, "Transfer-Encoding": "chunked"}
    return {
        **posts,
        "100,000 nested brackets": Post(plain, nested),
        "a gzip bomb of 64 MiB": Post(zipped, gzip.compress(b" " * (64 << 20))),
        "1,300 chunks of a byte": Post(chunked, b"1\r\n \r\n" * 1300 + b"0\r\n\r\n"),
    }
