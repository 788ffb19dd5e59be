"""What a person asked the demo for, read with all its faults at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.daemon_process import START_ORDER
from adctl.control.durations import EXPECTED, LONGEST_SEC, seconds_of
from adctl.errors import Fault, FaultyInputError
from adctl.stores.embedded.stack import NAMES as STORES

if TYPE_CHECKING:
    from collections.abc import Iterable

HIGHEST_RATE = 2000

_KILL = re.compile(r"([a-z]+)@([0-9]{1,6})s?")


class Kill(NamedTuple):
    """A process to kill, and the second of the run at which to do it."""

    name: str
    at_sec: int


class Plan(NamedTuple):
    """A run: how long, how many requests a second, from which seed, and what dies when."""

    for_sec: int
    rate: int
    seed: int
    kills: tuple[Kill, ...]


def read_plan(duration: str, rate: int, seed: int, kills: Iterable[str]) -> Plan:
    """Return the plan. Raises FaultyInputError with every fault."""
    faults: list[Fault] = []
    for_sec = seconds_of(duration)
    if for_sec is None:
        faults.append(Fault("--for", duration, EXPECTED))
    if not 1 <= rate <= HIGHEST_RATE:
        faults.append(Fault("--rate", rate, f"1 to {HIGHEST_RATE} requests a second"))
    planned = [_read_kill(text, for_sec or LONGEST_SEC, faults) for text in kills]
    if faults or for_sec is None:
        raise FaultyInputError("the demo", faults)
    found = sorted((kill for kill in planned if kill), key=lambda kill: kill.at_sec)
    return Plan(for_sec, rate, seed, tuple(found))


def _read_kill(text: str, for_sec: int, faults: list[Fault]) -> Kill | None:
    match = _KILL.fullmatch(text.strip().lower())
    names = (*START_ORDER, *STORES)
    if match and match[1] in names and int(match[2]) < for_sec:
        return Kill(match[1], int(match[2]))
    expected = f"NAME@SECOND within the run, NAME one of {', '.join(names)}"
    faults.append(Fault("--kill", text, expected))
    return None
