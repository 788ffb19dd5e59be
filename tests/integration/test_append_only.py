"""What is written for good cannot be changed or taken away, whoever asks the database to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from adctl.resources import SQL

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = {
    "audit": "INSERT INTO audit (actor, entity, entity_id, action) "
    "VALUES ('ann', 'campaign', 1, 'pause')",
    "dropped_day": "INSERT INTO dropped_day (day, actor, events, cost_nanos, rebuild_from) "
    "VALUES ('2026-11-01', 'ann', 1, 1, now())",
    "erasure": "INSERT INTO erasure (subject, actor) VALUES ('x', 'ann')",
}
CHANGES = (
    "UPDATE {table} SET actor = 'bob'",
    "UPDATE {table} SET actor = 'bob' WHERE actor = 'nobody'",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE actor = 'nobody'",
    "TRUNCATE {table}",
    "TRUNCATE {table} CASCADE",
    "MERGE INTO {table} USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
)
DOCUMENTED = SQL.parent / "docs" / "architecture.md"


@pytest.fixture(params=ROWS)
def table(request: pytest.FixtureRequest, postgres: psycopg.Connection) -> Iterator[str]:
    """A table with a row in it."""
    postgres.execute(ROWS[request.param])
    postgres.commit()
    yield request.param
    postgres.rollback()


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_written_stays_written(
    change: str, table: str, postgres: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match=f"{table} is append-only"):
        postgres.execute(change.format(table=table))
    postgres.rollback()
    assert postgres.execute(f"SELECT actor FROM {table}").fetchall() == [("ann",)]


def test_more_can_be_written(table: str, postgres: psycopg.Connection) -> None:
    postgres.execute(ROWS[table].replace("2026-11-01", "2026-11-02"))
    assert postgres.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)


def test_a_receipt_of_what_was_forgotten_is_filled_in(postgres: psycopg.Connection) -> None:
    postgres.execute(ROWS["erasure"])
    postgres.execute("UPDATE erasure SET receipt = '{\"events\": 1}'")
    assert postgres.execute("SELECT receipt FROM erasure").fetchone() == ({"events": 1},)


def test_every_table_that_is_said_to_be_append_only_is(postgres: psycopg.Connection) -> None:
    said = set(re.findall(r"^\| `(\w+)` \|.*append-only", DOCUMENTED.read_text(), re.MULTILINE))
    kept = {
        name
        for (name,) in postgres.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%append_only'"
        )
    }
    assert said == kept >= set(ROWS)
