"""Bringing PostgreSQL's schema up to date with the files of sql/migrations."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import psycopg
import yoyo

from adctl.errors import Fault, FaultyInputError, StoreUnavailableError
from adctl.resources import SQL
from adctl.stores.schema_version import require_known_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

# Any number will do, as long as every adctl uses the same.
_ADVISORY_LOCK = 7_237_441


def migrate(postgres_url: str) -> list[str]:
    """Apply every migration not applied yet, in order; return their names.

    Each is a transaction of its own, with the note that it is applied: after a failure, or a kill
    at any moment, those before it stay, and nothing of the others. Several programs may call at
    once: they take turns, and all but the first find nothing to do. Raises StoreUnavailableError,
    and NewerSchemaError for a database that a newer program has migrated.
    """
    with _turn(postgres_url) as connection, _backend(postgres_url) as backend:
        require_known_schema(connection)
        todo = _pending(backend)
        backend.ensure_internal_schema_updated()
        for migration in todo:
            # yoyo would note it in a second transaction, on another connection: killed between the
            # two, a migration is there and still to be applied, which fails from then on.
            with backend.transaction():
                migration.process_steps(backend, "apply")
                backend.log_migration(migration, "apply")
                backend.mark_one(migration, log=False)
    return [migration.id for migration in todo]


def pending(postgres_url: str) -> list[str]:
    """Return the names of the migrations that migrate would apply. Changes nothing.

    Raises as migrate does.
    """
    with _connected(postgres_url) as connection:
        require_known_schema(connection)
    states = migration_states(postgres_url)
    return [name for name, state in states.items() if state == "pending"]


def migration_states(
    postgres_url: str,
) -> dict[str, Literal["applied", "pending", "newer than this adctl"]]:
    """Return every migration in order and whether it is in place. Changes nothing.

    Those that only a newer program knows come last. Raises StoreUnavailableError.
    """
    with _connected(postgres_url) as connection:
        applied = _applied(connection)
    known = [item.id for item in _all()]
    newer = sorted(applied - set(known))
    return {
        **{name: "applied" if name in applied else "pending" for name in known},
        **dict.fromkeys(newer, "newer than this adctl"),
    }


def _applied(connection: psycopg.Connection) -> set[str]:
    known = connection.execute("SELECT to_regclass('_yoyo_migration')").fetchone()
    if known is None or known[0] is None:
        return set()
    rows = connection.execute("SELECT migration_id FROM _yoyo_migration")
    return {str(row[0]) for row in rows}


def _all() -> Any:
    return yoyo.read_migrations(str(SQL / "migrations"))


def _pending(backend: Any) -> Any:
    return backend.to_apply(_all())


@contextmanager
def _turn(postgres_url: str) -> Iterator[psycopg.Connection]:
    # yoyo's own lock is a row, which outlives a program that is killed; this one does not.
    with _connected(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        yield connection


@contextmanager
def _connected(postgres_url: str) -> Iterator[psycopg.Connection]:
    try:
        connection = psycopg.connect(postgres_url, autocommit=True, connect_timeout=5)
    except psycopg.ProgrammingError as exc:
        expected = "postgresql://user:password@host:port/database"
        raise FaultyInputError("postgres.url", [Fault("postgres.url", "…", expected)]) from exc
    except psycopg.OperationalError as exc:
        raise StoreUnavailableError(f"PostgreSQL cannot be reached: {exc}") from exc
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as exc:
        raise StoreUnavailableError(f"PostgreSQL: could not migrate: {exc}") from exc


@contextmanager
def _backend(postgres_url: str) -> Iterator[Any]:
    backend = yoyo.get_backend(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", postgres_url))
    try:
        yield backend
    finally:
        backend.connection.close()
