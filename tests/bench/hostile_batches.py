"""Hostile batches to the tracker, several at once, and what its other callers notice of them.

``python -m tests.bench.hostile_batches [--seconds N] [--at-once N]`` prints a table, with Valkey of
its own. Neighbours' calls are made at moments set beforehand: a wait counts from its moment.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, product
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING

from tests.bench.measurements import Measurement, markdown, ratio
from tests.bench.stores import own_stores
from tests.bench.tracking import running_tracker

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from adctl.stores.endpoints import Endpoints

_PER_SEC = 100
_CONNECTIONS = 10
_LIMIT_MS = 250


def batches() -> dict[str, bytes]:
    """Return bodies of about a mebibyte, each made to cost more than it should."""
    letters = ascii_lowercase + digits
    names = ["".join(name) for name in islice(product(letters, repeat=3), 46_000)]
    many = dict.fromkeys([*names, *(f"{name}0" for name in names[:44_000])], 0)
    item = {"kind": "impression", "token": "x" * 300, "price": "1.5"}
    wrong = {key: [[]] for key in ("token", "price", "currency", "loss", "order_id", "value")}
    return {
        "one object of 90,000 unknown keys": json.dumps(many, separators=(",", ":")).encode(),
        "the same within a known field": json.dumps({**item, "token": many}).encode(),
        "1,000 objects of 80 unknown keys": json.dumps(
            [dict.fromkeys(names[:80], 0)] * 1000, separators=(",", ":")
        ).encode(),
        "1,000 events with a forged token": json.dumps([item] * 1000).encode(),
        "1,000 events wrong in each field": json.dumps([{"kind": [], **wrong}] * 1000).encode(),
        "1,000 empty objects": json.dumps([{}] * 1000).encode(),
        "half a million numbers": b"[" + b"0," * 500_000 + b"0]",
        "a number of a million digits": b'{"kind":' + b"9" * 1_000_000 + b"}",
        "a text of 170,000 halves of characters": b'{"kind":"' + b"\\ud800" * 170_000 + b'"}',
        "lists in lists": b'{"kind":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    }


def measure(endpoints: Endpoints, state: Path, seconds: float, at_once: int) -> list[Measurement]:
    """Return the neighbours' waits without and with hostile batches beside them."""
    with running_tracker(endpoints.redis_url, state) as tracker:
        _waits(tracker.port, 1)
        alone = _p99("alone", _waits(tracker.port, seconds))
        context = multiprocessing.get_context("spawn")
        stop, ready = context.Event(), context.Event()
        sender = context.Process(target=_send, args=(tracker.port, at_once, ready, stop))
        sender.start()
        try:
            if not ready.wait(60):
                raise SystemExit("the sender of hostile batches did not come up")
            beside = _p99(f"with {at_once} hostile batches at once", _waits(tracker.port, seconds))
        finally:
            stop.set()
            sender.join(60)
        if sender.exitcode:
            raise SystemExit("the sender of hostile batches has failed")
    return [alone, beside, ratio("with hostile batches / alone", beside, alone)]


def _p99(name: str, waits: list[float]) -> Measurement:
    p99_ms = sorted(waits)[len(waits) * 99 // 100] * 1000
    return Measurement(f"99th percentile, {_PER_SEC} calls a second {name}", "ms", [p99_ms])


def _waits(port: int, seconds: float) -> list[float]:
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        found = pool.map(lambda number: _call_steadily(port, seconds, number), range(_CONNECTIONS))
        return [wait for waits in found for wait in waits]


def _call_steadily(port: int, seconds: float, number: int) -> list[float]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.connect()
    pause = _CONNECTIONS / _PER_SEC
    began, waits = time.perf_counter() + pause * number / _CONNECTIONS, []
    for turn in range(round(seconds / pause)):
        due = began + turn * pause
        time.sleep(max(0, due - time.perf_counter()))
        client.request("GET", "/track/impression?t=forged")
        client.getresponse().read()
        waits.append(time.perf_counter() - due)
    client.close()
    return waits


def _send(port: int, at_once: int, ready: Event, stop: Event) -> None:
    """Have as many batches on their way, over connections of their own, until told to stop."""
    bodies = list(batches().values())

    def post(number: int) -> None:
        for body in cycle(bodies[number % len(bodies) :] + bodies[: number % len(bodies)]):
            if stop.is_set():
                return
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            client.request("POST", "/events", body)
            answer = client.getresponse()
            told = answer.read()
            client.close()
            if answer.status >= 500 or len(told) > len(body) + 512_000:
                raise SystemExit(f"a hostile batch was answered {answer.status}, {len(told)} bytes")
            ready.set()

    with ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(post, number) for number in range(at_once)]:
            future.result()


def main() -> None:
    """Measure, and print; end with status 1 if neighbours waited too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hostile_batches")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each of the two")
    parser.add_argument("--at-once", type=int, default=10, help="hostile batches")
    arguments = parser.parse_args()
    with own_stores() as (endpoints, folder):
        found = measure(endpoints, folder, min(arguments.seconds, 60), min(arguments.at_once, 100))
    sys.stdout.write(markdown(found) + "\n")
    if found[1].rounds[0] > _LIMIT_MS:
        raise SystemExit(f"neighbours' 99th percentile is above {_LIMIT_MS} ms")


if __name__ == "__main__":
    main()
