"""Connecting to PostgreSQL. Queries live in sql/queries and sql/reports, read through aiosql."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiosql
import psycopg
from psycopg_pool import PoolTimeout

from adctl.errors import StoreUnavailableError
from adctl.resources import SQL
from adctl.stores.schema_version import GuardedPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg_pool import ConnectionPool

    from adctl.config import PostgresSettings


_PROCESS = f"adctl-{secrets.token_hex(6)}"

CONNECTION = {
    # Told apart by this, a process can end its own statements, and nobody else's.
    "application_name": _PROCESS,
    "options": "-c timezone=UTC",
    # A server that has vanished without a word is noticed after ten seconds, not after hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What every connection is opened with (libpq's names)."""


_RECONNECT_SEC = 1.0


def open_pool(url: str, settings: PostgresSettings) -> ConnectionPool[psycopg.Connection]:
    """Return an open pool; it connects in the background and heals by itself.

    Close it, or use it as a context manager. Safe to share between threads. What is asked of a
    database that is newer than this program raises NewerSchemaError.
    """
    return GuardedPool(
        url,
        min_size=1,
        max_size=settings.pool_size,
        timeout=settings.connect_timeout_sec,
        # Else it tries less and less often, and a server that was away for a minute is not found
        # for another one. Whoever asks for a connection makes it try anew.
        reconnect_timeout=_RECONNECT_SEC,
        kwargs={**CONNECTION, "connect_timeout": settings.connect_timeout_sec},
        open=True,
    )


def interrupt(url: str, connect_timeout_sec: int, *, hang_up: bool) -> int:
    """End what this process is at on all its connections; return on how many it was.

    Statements are cancelled, those that wait for locks too; with ``hang_up`` connections are closed
    that are in a transaction. Whoever used them gets StoreUnavailableError, and its transaction is
    undone. Raises StoreUnavailableError.
    """
    how = "pg_terminate_backend" if hang_up else "pg_cancel_backend"
    settings = {**CONNECTION, "connect_timeout": connect_timeout_sec}
    with (
        postgres_errors("end statements"),
        psycopg.connect(url, autocommit=True, **settings) as conn,  # type: ignore[arg-type]
    ):
        return conn.execute(
            f"SELECT {how}(pid) FROM pg_stat_activity "  # noqa: S608 - one of two words of ours
            "WHERE application_name = %s AND state <> 'idle' AND pid <> pg_backend_pid()",
            [_PROCESS],
        ).rowcount


_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
)


@contextmanager
def postgres_errors(doing: str) -> Iterator[None]:
    """Turn a lost or unreachable server into StoreUnavailableError, naming what was being done.

    Errors that say the statement was wrong pass through: they are bugs, not outages.
    """
    try:
        yield
    except _LOST as exc:
        raise StoreUnavailableError(f"PostgreSQL: could not {doing}: {exc}") from exc


def load_queries(name: str) -> Any:
    """Return the queries of ``sql/NAME`` as methods taking a psycopg connection."""
    return aiosql.from_path(SQL / name, "psycopg")
