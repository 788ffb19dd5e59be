"""docs/architecture.md and docs/operations.md list what there is, all of it and nothing else."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from adctl.control.daemon_process import START_ORDER
from adctl.stores import keys
from adctl.streams import topics

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

_PLACEHOLDERS = {
    "shard": 0,
    "campaign_id": "ID",
    "bucket": "BUCKET",
    "batch": "BATCH",
    "user_hash": "HASH",
}


def first_column(heading: str) -> set[str]:
    """Return the code names of the first column of the table after ``heading``."""
    table = re.search(r"^\|.*?(?=\n\n)", PAGE[PAGE.index(heading) :], re.DOTALL | re.MULTILINE)
    assert table is not None
    rows = [row.split("|")[1] for row in table.group().splitlines()[2:]]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row) or [row.strip()]}


def test_every_redis_key_is_listed() -> None:
    made = {
        make(*(_PLACEHOLDERS[name] for name in inspect.signature(make).parameters))
        for _, make in inspect.getmembers(keys, inspect.isfunction)
    }
    assert first_column("**Redis**") == made | {
        keys.ACTIVE,
        keys.CHANGES,
        keys.FACTORS,
        keys.SHARDS,
        keys.KEY_HOLDERS,
        keys.KEY_USES,
        keys.RETIRED_PIXELS,
    }


def test_every_topic_is_listed() -> None:
    assert first_column("**Kafka**") == set(topics.ALL)


def test_every_table_is_listed() -> None:
    migrations = "".join(path.read_text() for path in (ROOT / "sql" / "migrations").glob("*.sql"))
    tables = set(re.findall(r"^CREATE TABLE (\w+)", migrations, re.MULTILINE))
    assert first_column("**PostgreSQL**") == tables


def test_every_process_is_listed() -> None:
    assert first_column("## Processes") == {*START_ORDER, "adctl"}


def test_every_metric_named_is_counted_somewhere() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "daemons").rglob("*.py"))
    named = set(re.findall(r"`(adctl_\w+)`", OPERATIONS))
    assert named
    assert [metric for metric in sorted(named) if f'"{metric}"' not in sources] == []
