"""Durable events per second while Redis is away: the spool by itself, and behind the tracker."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from adctl.delivery.macros import ToldMacros
from adctl.delivery.tracking import TrackedEvent, track
from adctl.models import EventKind
from adctl.stores.spool import Spool
from adctl.stores.spool_records import encode_record
from tests.bench import load
from tests.bench.measurements import Measurement, ratio
from tests.bench.tracking import Bids, refuse_errors, running_tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RAW = f"bare write and fdatasync, {load.CONNECTIONS} records at a time"
SPOOL = f"the spool, {load.CONNECTIONS} events at a time"
TRACKER = "the tracker without Redis, one worker, impressions"
_NOBODY = "redis://127.0.0.1:1/0"
_SPOOL_SEC = 1.0
_TRACKER_SEC = 3.0
_EVENTS_A_ROUND = 60_000
_ROOM = 4 << 30

Groups = list[list[TrackedEvent]]


def measure(state: Path, rounds: int) -> Iterator[Measurement]:
    """Yield events per second that are on disk when they are acknowledged, and how they compare.

    The records are those of impressions; as many are written at a time as the tracker has
    connections, which is what a turn of its loop can bring at most.
    """
    folder = Path(tempfile.mkdtemp(dir=state))
    groups = _groups(128)
    raw, spooled = Measurement(RAW, "events/s", []), Measurement(SPOOL, "events/s", [])
    for number in range(rounds):
        raw.rounds.append(_bare(folder / f"bare-{number}", groups))
        spooled.rounds.append(_spool(folder / f"spool-{number}", groups))
    yield raw
    yield spooled
    yield ratio("the spool / bare write and fdatasync", spooled, raw)
    yield from _over_http(state, rounds)


def _over_http(state: Path, rounds: int) -> Iterator[Measurement]:
    bids, told = Bids(), []
    with running_tracker(_NOBODY, state) as tracker:
        for _ in range(rounds):
            paths = bids.tell(_EVENTS_A_ROUND, state / "spooled.txt")
            told.append(load.run(tracker.port, paths, _TRACKER_SEC, "GET"))
    refuse_errors({TRACKER: told})
    yield Measurement(TRACKER, "answers/s", [one.per_sec for one in told])
    yield Measurement(f"{TRACKER}: 99th percentile", "ms", [one.p99_ms for one in told])


def _groups(count: int) -> Groups:
    told, kind = ToldMacros(price="1.5", currency="USD"), EventKind.IMPRESSION
    events = [
        track(token, kind, kind, told, token.bid_at_ms + 1000)
        for token in Bids().tokens(count * load.CONNECTIONS)
    ]
    return [events[at : at + load.CONNECTIONS] for at in range(0, len(events), load.CONNECTIONS)]


def _bare(path: Path, groups: Groups) -> float:
    written = [b"".join(map(encode_record, group)) for group in groups]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:

        def write(number: int) -> None:
            os.write(descriptor, written[number])
            os.fdatasync(descriptor)

        return _per_sec(write, groups)
    finally:
        os.close(descriptor)
        path.unlink()


def _spool(folder: Path, groups: Groups) -> float:
    spool = Spool(folder, "bench", _ROOM)
    try:
        return _per_sec(lambda number: _append(spool, groups[number]), groups)
    finally:
        spool.close()


def _append(spool: Spool, group: Sequence[TrackedEvent]) -> None:
    if spool.append(group) != len(group):
        raise SystemExit("the spool is full")


def _per_sec(write: Callable[[int], None], groups: Groups) -> float:
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < _SPOOL_SEC:
        write(done % len(groups))
        done += 1
    return done * load.CONNECTIONS / took
