"""Migrations that are cut short at any moment."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import yoyo.backends.base

from adctl.stores.migrations import migrate, pending

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from adctl.stores.endpoints import Endpoints


class CutShortError(Exception):
    pass


@pytest.fixture
def fresh_url(endpoints: Endpoints, postgres: psycopg.Connection) -> Iterator[str]:
    postgres.autocommit = True
    name = f"cut_{uuid.uuid4().hex}"
    postgres.execute(f"CREATE DATABASE {name}")
    yield f"{endpoints.postgres_url.removesuffix('/adctl')}/{name}"
    postgres.execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize("moment", ["log_migration", "mark_one"])
def test_a_migration_that_is_cut_short_is_not_there_and_is_made_the_next_time(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    names = pending(fresh_url)
    cut_at = names[len(names) // 2]
    kept = getattr(yoyo.backends.base.DatabaseBackend, moment)

    def cut_short(
        self: object, migration: yoyo.migrations.Migration, *args: object, **more: object
    ) -> None:
        if migration.id == cut_at:
            raise CutShortError
        kept(self, migration, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(yoyo.backends.base.DatabaseBackend, moment, cut_short)
        with pytest.raises(CutShortError):
            migrate(fresh_url)
    left = pending(fresh_url)
    assert left == names[names.index(cut_at) :]
    assert migrate(fresh_url) == left
    assert pending(fresh_url) == []
