"""Whether PostgreSQL's schema is one that this program knows.

A program on a schema that a newer one has made would read and write rows that mean something else
by now. So every connection is looked at before it is used, and again while it is; what is asked of
it then fails, in words, and nothing is written.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool

from adctl import __version__
from adctl.errors import NewerSchemaError
from adctl.resources import SQL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ADDITIVE = "_additive"
"""How the name of a migration ends that programs without it can work beside."""

_LOOK_EVERY_SEC = 3.0
_CONNECT_SEC = 5


@cache
def known_migrations() -> tuple[str, ...]:
    """Return the names of the migrations that come with this program, in order."""
    return tuple(sorted(path.stem for path in (SQL / "migrations").glob("*.sql")))


def newer_migrations(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the migrations of the database that this program does not know, and has to."""
    table: Any = connection.execute("SELECT to_regclass('_yoyo_migration')").fetchone()
    if table is None or table[0] is None:
        return []
    rows: Iterable[Any] = connection.execute(
        "SELECT migration_id FROM _yoyo_migration WHERE migration_id <> ALL(%s) "
        "ORDER BY migration_id",
        [list(known_migrations())],
    )
    return [str(name) for (name,) in rows if not str(name).endswith(ADDITIVE)]


def require_known_schema(connection: psycopg.Connection[Any]) -> None:
    """Raise NewerSchemaError if the database is newer than this program. Leaves a transaction."""
    if newer := newer_migrations(connection):
        raise NewerSchemaError(
            f"the database is newer than this adctl {__version__}: it is at {newer[-1]}, and this "
            f"program knows migrations up to {known_migrations()[-1]}; "
            "start the adctl that made it, or a newer one"
        )


def refuse_newer_schema(postgres_url: str) -> None:
    """Raise NewerSchemaError if the database is newer; nothing if it cannot be asked now.

    For the start of a daemon: it waits for a database that is away, and is told when it is back.
    """
    try:
        with psycopg.connect(postgres_url, connect_timeout=_CONNECT_SEC) as connection:
            require_known_schema(connection)
    except psycopg.OperationalError:
        return


class SchemaGuard:
    """When a pool's connections were looked at last. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_look = float("-inf")

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Look, if it is time to; the connection is in no transaction before and after.

        Raises NewerSchemaError, and every time from then on.
        """
        now = self._clock()
        if now < self._next_look:
            return
        try:
            require_known_schema(connection)
        finally:
            if not connection.closed:
                connection.rollback()
        self._next_look = now + _LOOK_EVERY_SEC


class GuardedPool(ConnectionPool[psycopg.Connection]):
    """A pool that gives out no connection to a database newer than the program."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._guard = SchemaGuard()
        super().__init__(*args, **more)

    def getconn(self, timeout: float | None = None) -> psycopg.Connection:
        """Return a connection. Raises NewerSchemaError, and what the pool raises."""
        connection = super().getconn(timeout)
        try:
            self._guard.look(connection)
        except BaseException:
            self.putconn(connection)
            raise
        return connection
