"""Moments at which what consumers have built can be held against PostgreSQL's own rows.

Events are always on their way: stored, but not counted yet. A missing one is hidden among them. So
the relays are made to wait for a moment, and consumers come to the end of what Kafka has been told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.stores.postgres import postgres_errors
from adctl.stores.relay_batches import HeldRelays

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from psycopg_pool import ConnectionPool

_AGAIN_SEC = 0.25
# Whoever is stopped in the middle must not keep the relays waiting.
_STOPPED = "5s"


class Moment(NamedTuple):
    """When to compare, on ``conn``.

    With ``untold`` all events should have been counted. Without it the relays wait, and what should
    have been is what Kafka was told of: all that is not in relay_batch.
    """

    conn: psycopg.Connection
    untold: bool


def moments(pool: ConnectionPool[psycopg.Connection], wait_sec: float) -> Generator[Moment]:
    """Yield one moment after the other for ``wait_sec``, at least one. Close it in the end.

    At first nobody waits: where nothing comes all has been counted. Relays wait once everything has
    been told that was stored before the first moment; what was not within ``wait_sec`` is late, and
    missing. Safe beside running daemons. Raises StoreUnavailableError.
    """
    deadline, relays = time.monotonic() + wait_sec, HeldRelays()
    with postgres_errors("compare with what was built"), pool.connection() as conn:
        began = _now(conn)
        yield Moment(conn, untold=True)
        while not relays.told_before(conn, began):
            conn.commit()
            if time.monotonic() >= deadline:
                return
            time.sleep(_AGAIN_SEC)
            yield Moment(conn, untold=True)
        conn.commit()
        if not _hold(conn, relays, deadline):
            return
        while True:
            yield Moment(conn, untold=False)
            if time.monotonic() >= deadline:
                return
            time.sleep(_AGAIN_SEC)


def _hold(conn: psycopg.Connection, relays: HeldRelays, deadline: float) -> bool:
    """Let the relays wait; False if one of them is at work until the deadline."""
    left_ms = int((deadline - time.monotonic()) * 1000)
    if left_ms <= 0:
        return False
    settings = {"lock_timeout": f"{left_ms}ms", "idle_in_transaction_session_timeout": _STOPPED}
    for setting in settings.items():
        conn.execute("SELECT set_config(%s, %s, true)", setting)
    try:
        relays.hold(conn)
    except psycopg.errors.LockNotAvailable:
        conn.rollback()
        return False
    return True


def _now(conn: psycopg.Connection) -> datetime:
    [(now,)] = conn.execute("SELECT now()").fetchall()
    conn.commit()
    moment: datetime = now
    return moment
