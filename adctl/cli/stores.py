"""The stores a command works on, connected for as long as it runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import redis
import typer
from psycopg_pool import ConnectionPool
from sqlmodel import Session

from adctl.cli.context import settings_of
from adctl.stores.endpoints import resolve_postgres, resolve_redis
from adctl.stores.postgres import open_pool
from adctl.stores.redis import connect
from adctl.stores.shard_count import require_shards
from adctl.stores.tables import open_engine, sql_errors


@contextmanager
def postgres_session(ctx: typer.Context) -> Iterator[Session]:
    """Yield a session that is not committed: for reading. Raises StoreUnavailableError."""
    settings = settings_of(ctx)
    engine = open_engine(resolve_postgres(settings), settings.postgres)
    try:
        with sql_errors("read"), Session(engine) as session:
            yield session
    finally:
        engine.dispose()


@contextmanager
def postgres_pool(ctx: typer.Context) -> Iterator[ConnectionPool[psycopg.Connection]]:
    """Yield a pool, as the daemons' plain functions want it."""
    settings = settings_of(ctx)
    with open_pool(resolve_postgres(settings), settings.postgres) as pool:
        yield pool


@contextmanager
def redis_client(ctx: typer.Context) -> Iterator[redis.Redis]:
    """Yield a client."""
    settings = settings_of(ctx)
    with connect(resolve_redis(settings), settings.redis) as client:
        require_shards(client, settings.redis.shards)
        yield client
