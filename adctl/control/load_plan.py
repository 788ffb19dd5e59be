"""What a person asked the bench for, read with all its faults at once."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from adctl.control.durations import EXPECTED, seconds_of
from adctl.control.load import Endpoint, read_endpoint
from adctl.errors import Fault, FaultyInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HIGHEST_RATE = 50_000
MOST_CONNECTIONS = 1_000
LONGEST_P99_MS = 60_000


class LoadPlan(NamedTuple):
    """Where to, how fast, how long, over how many connections; ``p99_ms`` is what is to hold."""

    endpoint: Endpoint
    rates: Sequence[int]
    for_sec: int
    connections: int
    p99_ms: int


def read_plan(
    url: str, rates: Sequence[int], duration: str, connections: int, p99_ms: int
) -> LoadPlan:
    """Return the plan. Raises FaultyInputError with every fault."""
    faults: list[Fault] = []
    endpoint, for_sec = read_endpoint(url), seconds_of(duration)
    if endpoint is None:
        faults.append(Fault("--url", url, "http://HOST:PORT/bid-request, or https"))
    faults += [
        Fault("--rate", rate, f"1 to {HIGHEST_RATE} requests a second")
        for rate in rates
        if not 1 <= rate <= HIGHEST_RATE
    ]
    if for_sec is None:
        faults.append(Fault("--for", duration, EXPECTED))
    if not 1 <= connections <= MOST_CONNECTIONS:
        faults.append(Fault("--connections", connections, f"1 to {MOST_CONNECTIONS}"))
    if not 1 <= p99_ms <= LONGEST_P99_MS:
        faults.append(Fault("--p99", p99_ms, f"1 to {LONGEST_P99_MS} milliseconds"))
    if faults or endpoint is None or for_sec is None:
        raise FaultyInputError("the bench", faults)
    return LoadPlan(endpoint, rates, for_sec, connections, p99_ms)


def read_bodies(file: Path) -> list[bytes]:
    """Return the bid requests of a file, one on each line. Raises FaultyInputError."""
    try:
        lines = file.read_bytes().removeprefix(BOM_UTF8).splitlines()
    except OSError as exc:
        fault = Fault("--requests", str(file), f"a file that can be read ({exc.strerror})")
        raise FaultyInputError("the bench", [fault]) from exc
    bodies = [line for line in lines if line.strip()]
    faults = [
        Fault(f"line {number}", line[:60].decode(errors="replace"), "a bid request as JSON")
        for number, line in enumerate(lines, 1)
        if line.strip() and not _is_object(line)
    ]
    if not bodies:
        faults = [Fault("--requests", str(file), "at least one bid request, one on a line")]
    if faults:
        raise FaultyInputError("the bench's requests", faults)
    return bodies


def as_tests(bodies: Iterable[bytes]) -> list[bytes]:
    """Return the requests as tests (OpenRTB's ``test``): answered, but nothing comes of it."""
    return [msgspec.json.encode({**msgspec.json.decode(body), "test": 1}) for body in bodies]


def _is_object(line: bytes) -> bool:
    try:
        told: Any = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        return False
    return isinstance(told, dict)
