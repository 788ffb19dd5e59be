"""Connecting to PostgreSQL. Queries live in sql/queries and sql/reports, read through aiosql."""

from __future__ import annotations

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


CONNECTION = {
    "options": "-c timezone=UTC",
    # A server that has vanished without a word is noticed after ten seconds, not after hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What every connection is opened with (libpq's names)."""


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
        kwargs={**CONNECTION, "connect_timeout": settings.connect_timeout_sec},
        open=True,
    )


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
