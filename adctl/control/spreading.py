"""Work done in portions over a time, so that it never keeps others waiting for long."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_T = TypeVar("_T")


def spread(
    items: Sequence[_T],
    at_once: int,
    over_sec: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[_T, ...]]:
    """Yield ``items`` in portions of ``at_once``, begun evenly over ``over_sec``.

    Whoever takes longer over them is not held up any more.
    """
    began, rest = clock(), iter(items)
    for first in range(0, len(items), at_once):
        due = began + over_sec * first / len(items)
        if (early := due - clock()) > 0:
            sleep(early)
        yield tuple(islice(rest, at_once))
