"""Something for `db migrate` and `db prune` to do, and whether they did it whole or not at all."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from adctl.demo.summary import Check
from adctl.resources import SQL
from adctl.stores.schema_version import ADDITIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_AT_ONCE = 3
_ROWS = 20_000
_OLDEST_DAYS = 700
KEPT_DAYS = 365
MIGRATED_WHOLE = "every migration was made whole or not at all"
PRUNED_WHOLE = "every day of events is either there or written down as dropped"

_MIGRATION = f"""
CREATE TABLE {{name}} AS SELECT generate_series(1, {_ROWS}) AS number;
ALTER TABLE event ADD COLUMN {{name}} integer NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX ON {{name}} (number);
"""
_COLUMN = "SELECT FROM pg_attribute WHERE attrelid = 'event'::regclass AND attname = %s"


class Leftovers:
    """Makes migrations that have not been applied, and days too old to be kept."""

    def __init__(self, folder: Path, postgres_url: str) -> None:
        self.sql = folder / "sql"
        self._postgres_url = postgres_url
        self._migrations: list[str] = []
        self._days: set[date] = set()
        shutil.copytree(SQL / "migrations", self.sql / "migrations")
        self._for: dict[str, Callable[[], None]] = {
            "db migrate": self._add_migrations,
            "db prune": self._add_days,
        }
        self._add_migrations()

    def make(self, command: str) -> None:
        """Give a command something to do, if it is one that would have nothing."""
        if command in self._for:
            self._for[command]()

    def _add_migrations(self) -> None:
        for _ in range(_AT_ONCE):
            # Programs that do not know it can work beside it, as the daemons do here.
            name = f"chaos_{len(self._migrations):03}{ADDITIVE}"
            file = self.sql / "migrations" / f"9{len(self._migrations):03}_{name}.sql"
            file.write_text(_MIGRATION.format(name=name))
            self._migrations.append(file.stem)

    def _add_days(self) -> None:
        oldest = datetime.now(UTC).date() - timedelta(days=_OLDEST_DAYS)
        days = [oldest + timedelta(days=len(self._days) + number) for number in range(_AT_ONCE)]
        # PostgreSQL may be away, or frozen: then there is nothing to drop.
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(self._postgres_url, connect_timeout=1) as postgres,
        ):
            postgres.execute("SET statement_timeout = '2s'")
            for day in days:
                postgres.execute("SELECT event_partition(%s)", [day])
            postgres.commit()
            self._days.update(days)

    def checks(self) -> tuple[Check, ...]:
        """Return whether nothing was done by halves."""
        with psycopg.connect(self._postgres_url, autocommit=True) as postgres:
            dropped = {day for (day,) in postgres.execute("SELECT day FROM dropped_day")}
            days = sorted(self._days | dropped)
            return (
                _check(MIGRATED_WHOLE, self._migrations, _is_migrated_whole, postgres),
                _check(PRUNED_WHOLE, days, _is_pruned_whole, postgres),
            )


def _check(
    claim: str,
    things: Sequence[Any],
    is_whole: Callable[[psycopg.Connection, Any], bool],
    postgres: psycopg.Connection,
) -> Check:
    halves = [str(thing) for thing in things if not is_whole(postgres, thing)]
    return Check(claim, not halves, ", ".join(halves) or f"all {len(things)}")


def _is_migrated_whole(postgres: psycopg.Connection, migration: str) -> bool:
    name = migration.partition("_")[2]
    applied = postgres.execute(
        "SELECT FROM _yoyo_migration WHERE migration_id = %s", [migration]
    ).rowcount
    table = postgres.execute("SELECT FROM pg_tables WHERE tablename = %s", [name]).rowcount
    column = postgres.execute(_COLUMN, [name]).rowcount
    if not applied:
        return not table and not column
    found = postgres.execute(f"SELECT count(*) FROM {name}").fetchone() if table else None
    return column == 1 and found == (_ROWS,)


def _is_pruned_whole(postgres: psycopg.Connection, day: date) -> bool:
    there = postgres.execute("SELECT to_regclass(%s)", [f"event_{day:%Y%m%d}"]).fetchone()
    dropped = postgres.execute("SELECT FROM dropped_day WHERE day = %s", [day]).rowcount
    return (there != (None,)) is not bool(dropped)
