"""Asking a store whether it answers, for the daemons' readiness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.stores.postgres import postgres_errors
from adctl.stores.redis import redis_errors

if TYPE_CHECKING:
    import psycopg
    import redis
    from psycopg_pool import ConnectionPool

# Shorter than the second or two after which probes give up.
_TIMEOUT_SEC = 1.0


def check_postgres(pool: ConnectionPool[psycopg.Connection]) -> None:
    """Return if PostgreSQL answers. Raises StoreUnavailableError."""
    with postgres_errors("ask it anything"), pool.connection(_TIMEOUT_SEC) as conn:
        conn.execute("SELECT 1")


def check_redis(client: redis.Redis) -> None:
    """Return if Redis answers. Raises StoreUnavailableError."""
    with redis_errors("ask it anything"):
        client.ping()
