"""The delivery rollups held against the event table, hour by hour. Changes nothing."""

from __future__ import annotations

import random
import time
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from adctl.control.settled import moments
from adctl.stores.postgres import postgres_errors
from adctl.stores.rollups import Rollups

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool


class CheckedHour(NamedTuple):
    """An hour that was looked at, and in how many rows it is not what the event table says."""

    hour: datetime
    different: int


class RollupCheck:
    """Compares hours, the one that is not over included. Safe beside running daemons."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self._pool = pool
        self._rollups = Rollups()

    def check(
        self, since: datetime, now: datetime, sample: int | None, wait_sec: float
    ) -> list[CheckedHour]:
        """Return ``sample`` of the hours from ``since``'s to ``now``'s, the newest among them.

        None: all of them. Hours before the oldest event are left out. What is on its way through
        Kafka has ``wait_sec`` to arrive, and relays wait meanwhile. Raises StoreUnavailableError.
        """
        with postgres_errors("list hours"), self._pool.connection() as conn:
            hours = self._rollups.hours(conn, since, now)
        if sample is not None and sample < len(hours):
            hours = [*random.sample(hours[:-1], sample - 1), hours[-1]]
        deadline = time.monotonic() + wait_sec
        checked = dict.fromkeys(hours, 0)
        wrong = hours
        with postgres_errors("compare rollups"), closing(moments(self._pool, wait_sec)) as looks:
            for conn, untold in looks:
                # The newest first: it is theirs that may be on their way. Many hours take long, and
                # relays must not wait for them.
                for hour in reversed(wrong):
                    if not untold and time.monotonic() >= deadline:
                        break
                    checked[hour] = self._rollups.differences(conn, hour, untold=untold)
                wrong = [hour for hour, different in checked.items() if different]
                if not wrong:
                    break
        return [CheckedHour(hour, count) for hour, count in sorted(checked.items())]
