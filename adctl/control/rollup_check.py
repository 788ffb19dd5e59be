"""The delivery rollups held against the event table, hour by hour. Changes nothing."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from adctl.stores.postgres import postgres_errors
from adctl.stores.rollups import Rollups

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from psycopg_pool import ConnectionPool

_AGAIN_SEC = 0.25
_HOUR = timedelta(hours=1)


class CheckedHour(NamedTuple):
    """An hour that was looked at, and in how many rows it is not what the event table says."""

    hour: datetime
    different: int


class RollupCheck:
    """Compares hours that are over. Safe beside running daemons."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self._pool = pool
        self._rollups = Rollups()

    def check(
        self, since: datetime, now: datetime, sample: int | None, wait_sec: float
    ) -> list[CheckedHour]:
        """Return ``sample`` of the hours from ``since`` on that ended before ``now``; None: all.

        Hours before the oldest event are left out. What is on its way through Kafka has
        ``wait_sec`` to arrive. Raises StoreUnavailableError.
        """
        deadline = time.monotonic() + wait_sec
        with postgres_errors("list hours"), self._pool.connection() as conn:
            hours = self._rollups.hours(conn, since, now - _HOUR)
        if sample is not None and sample < len(hours):
            hours = random.sample(hours, sample)
        checked = self._compare(hours)
        while any(checked.values()) and time.monotonic() < deadline:
            time.sleep(_AGAIN_SEC)
            checked |= self._compare([hour for hour, count in checked.items() if count])
        return [CheckedHour(hour, count) for hour, count in sorted(checked.items())]

    def _compare(self, hours: Sequence[datetime]) -> dict[datetime, int]:
        with postgres_errors("compare rollups"), self._pool.connection() as conn:
            return {hour: self._rollups.differences(conn, hour) for hour in hours}
