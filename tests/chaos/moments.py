"""What can go wrong during a run, in groups, and what goes wrong when: all of it by the seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from tests.chaos.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_KILLED = ("bidder", "tracker", "flusher", "consumer", "pacer", "valkey", "postgres", "kafka")
_WITH_WORKERS = ("bidder", "tracker")
_PROXIED = ("valkey", "postgres")
_FROZEN = ("valkey", "postgres", "kafka", "flusher", "pacer")
_TWO = ("flusher", "pacer")
SET_BACK, FLUSH, PROMOTE = "set back valkey", "flush valkey", "promote a replica of valkey"

MOMENTS = {
    "classic": (
        *(f"kill {name}" for name in _KILLED),
        *(f"kill a worker of {name}" for name in _WITH_WORKERS),
        *(f"cut {name}" for name in _PROXIED),
        *(f"lose replies of {name}" for name in _PROXIED),
        *(f"partition off {name}" for name in _PROXIED),
    ),
    "past": (SET_BACK, FLUSH, PROMOTE),
    "frozen": tuple(f"freeze {name}" for name in _FROZEN),
    "two": tuple(f"freeze one of two of {name}" for name in _TWO),
    "commands": tuple(f"kill inside {command}" for command in COMMANDS),
}
EVERY_GROUP = tuple(MOMENTS)
# Before the first there has to be something to lose, after the last something to go on with.
QUIET_SEC = 3.0


class _Row(NamedTuple):
    """How often something happens in a row, and the seconds between."""

    times: int
    least_sec: float
    most_sec: float


_ROWS = {
    SET_BACK: _Row(3, 0.2, 2.0),
    FLUSH: _Row(3, 0.1, 1.5),
    PROMOTE: _Row(2, 0.5, 2.0),
    **{what: _Row(2, 0.5, 3.0) for what in MOMENTS["two"]},
}
_ONCE = _Row(1, 0.0, 0.0)
# How far back, how far behind, and for how long.
_LASTS_SEC = {
    SET_BACK: (2.0, 20.0),
    PROMOTE: (0.2, 3.0),
    **dict.fromkeys((*MOMENTS["frozen"], *MOMENTS["two"]), (2.0, 8.0)),
}


class PlannedFault(NamedTuple):
    """A fault, the second of the traffic at which it happens, and how long it lasts if it does."""

    at_sec: float
    what: str
    for_sec: float | None = None

    @property
    def is_past(self) -> bool:
        """Whether Redis is one from the past afterwards."""
        return self.what in MOMENTS["past"]

    @property
    def is_of_two(self) -> bool:
        """Whether it befalls one of two daemons that do the same."""
        return self.what in MOMENTS["two"]


def twice(plan: Sequence[PlannedFault]) -> list[str]:
    """Return the daemons of which a plan needs two."""
    return sorted({fault.what.rpartition(" ")[2] for fault in plan if fault.is_of_two})


def plan_faults(
    seed: int, for_sec: int, each_sec: float, groups: Collection[str] = EVERY_GROUP
) -> list[PlannedFault]:
    """Return the faults of a run, one in ``each_sec`` on average, in the order they happen.

    Every kind is chosen once before any is chosen again: a seed goes on in the list of all where
    the seed before it has stopped. Some happen several times in a row.
    """
    kinds = [what for group in MOMENTS if group in groups for what in MOMENTS[group]]
    left = int((for_sec - 2 * QUIET_SEC) / each_sec)
    chosen = [_drawn(kinds, place) for place in range((seed - 1) * left, seed * left)]
    rng = random.Random(f"faults {seed}")
    ends_sec = for_sec - QUIET_SEC
    planned: list[PlannedFault] = []
    for what in chosen:
        planned += _in_a_row(rng, what, rng.uniform(QUIET_SEC, ends_sec), ends_sec)
    return sorted(planned)


def _drawn(kinds: Sequence[str], place: int) -> str:
    shuffled, at = divmod(place, len(kinds))
    return random.Random(f"moments {shuffled}").sample(kinds, len(kinds))[at]


def _in_a_row(rng: random.Random, what: str, at_sec: float, ends_sec: float) -> list[PlannedFault]:
    row = _ROWS.get(what, _ONCE)
    pauses = [rng.uniform(row.least_sec, row.most_sec) for _ in range(row.times - 1)]
    at_sec = max(QUIET_SEC, min(at_sec, ends_sec - sum(pauses)))
    planned = []
    for pause_sec in (0.0, *pauses):
        at_sec += pause_sec
        lasts = rng.uniform(*_LASTS_SEC[what]) if what in _LASTS_SEC else None
        planned.append(PlannedFault(at_sec, what, lasts))
    return planned
