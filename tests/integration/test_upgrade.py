"""A database that the first migrations made, with what it held, under the program of today."""

from __future__ import annotations

import re
import shutil
import time
import urllib.request
import uuid
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.resources import SQL
from adctl.stores import migrations
from adctl.stores.migrations import migrate, pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from adctl.control.daemon_process import DaemonProcess
    from adctl.stores.endpoints import Endpoints

FILES = sorted((SQL / "migrations").glob("*.sql"))
# Each file's rows fit the schema after the migration of its number.
ROWS = sorted((Path(__file__).parent / "upgrade").glob("*.sql"))
# Where installations began: the first that could store events, and some after each of its kind.
BEGAN_AT = ("0003", "0004", "0006", "0007", "0010", "0014", "0017", "0019", "0022", "0023")
COMMANDS = (
    "advertiser list",
    "campaign list",
    "campaign show 1",
    "campaign history 2",
    "creative list",
    "budget show 1",
    "report performance --since 2026-10-01 --until 2026-10-03",
    "report statement --advertiser Acme --month 2026-10",
    "report requests --since 2026-10-01 --until 2026-10-03",
    "rebuild rollups --check --since 2026-10-01",
    "rejected list",
    "webhook list",
    "db status",
    "db partitions",
)
_WORKS_SEC = 6.0


class Old:
    """A database that began at a version, with what was in it then."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.began_at = ""

    def begin(self, number: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began_at = number
        for file in FILES:
            if file.stem[:4] <= number:
                shutil.copy(file, folder)
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "SQL", folder.parent)
            migrate(self.url)
        with psycopg.connect(self.url) as connection:
            for rows in ROWS:
                if rows.stem <= number:
                    connection.execute(rows.read_text().encode())

    def everything(self) -> dict[str, list[Any]]:
        """Every row of every table, as JSON."""
        with psycopg.connect(self.url) as connection:
            tables = connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND relkind IN ('r', 'p') AND NOT relispartition AND relname !~ 'yoyo'"
            ).fetchall()
            return {
                name: [
                    row for (row,) in connection.execute(f'SELECT to_jsonb(t) FROM "{name}" AS t')
                ]
                for (name,) in tables
            }

    def sums(self) -> dict[str, Any]:
        with psycopg.connect(self.url) as connection:

            def one(query: str) -> Any:
                return connection.execute(query.encode()).fetchall()

            return {
                "ledger": one(
                    "SELECT account, campaign_id, count(*), sum(amount_nanos) FROM ledger_entry "
                    "WHERE kind = 'spend' GROUP BY 1, 2 ORDER BY 1, 2"
                ),
                "events": one(
                    "SELECT campaign_id, count(*), sum(cost_nanos) FROM event WHERE cost_nanos > 0 "
                    "GROUP BY 1 ORDER BY 1"
                ),
                "delivery": one(
                    "SELECT campaign_id, sum(impressions), sum(spend_nanos) FROM rollup_delivery "
                    "GROUP BY 1 ORDER BY 1"
                ),
                "balances": one(
                    "SELECT account, owner_id, amount_nanos FROM ledger_balance ORDER BY 1, 2"
                ),
                "balances by the entries": one(
                    "SELECT account, ledger_owner(account, advertiser_id, campaign_id), "
                    "sum(amount_nanos) FROM ledger_entry GROUP BY 1, 2 ORDER BY 1, 2"
                ),
            }


@pytest.fixture(params=BEGAN_AT)
def old(
    request: pytest.FixtureRequest,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Old]:
    postgres.autocommit = True
    name = f"upgraded_{uuid.uuid4().hex}"
    postgres.execute(f"CREATE DATABASE {name}")
    old = Old(f"{endpoints.postgres_url.removesuffix('/adctl')}/{name}")
    (tmp_path / "sql" / "migrations").mkdir(parents=True)
    old.begin(request.param, tmp_path / "sql" / "migrations", monkeypatch)
    yield old
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def adctl(
    old: Old, endpoints: Endpoints, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> CliRunner:
    monkeypatch.setenv("ADCTL_POSTGRES_URL", old.url)
    monkeypatch.setenv("ADCTL_REDIS_URL", endpoints.redis_url)
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", endpoints.kafka_bootstrap)
    return CliRunner()


def test_every_row_is_there_as_it_was(old: Old) -> None:
    before = old.everything()
    assert len(before["event"]) > 500
    assert pending(old.url) == migrate(old.url)
    after = old.everything()
    for table, rows in before.items():
        columns = rows[0] if rows else {}
        kept = [{column: row[column] for column in columns} for row in after[table]]
        assert len(after[table]) == len(rows), table
        assert sorted(map(repr, kept)) == sorted(map(repr, rows)), table
    assert pending(old.url) == []


def test_the_money_is_the_same_in_events_ledger_rollups_and_balances(old: Old) -> None:
    migrate(old.url)
    sums = old.sums()
    spent = {campaign: (count, int(cost)) for campaign, count, cost in sums["events"]}
    assert sum(count for count, _ in spent.values()) == 240
    assert spent == {
        campaign: (count, int(cost))
        for account, campaign, count, cost in sums["ledger"]
        if account == "campaign"
    }
    assert spent == {
        campaign: (int(count), int(cost)) for campaign, count, cost in sums["delivery"]
    }
    assert sums["balances"] == sums["balances by the entries"]
    assert sum(Decimal(amount) for *_, amount in sums["balances"]) == 0


def test_every_command_reads_what_was_there(old: Old, adctl: CliRunner) -> None:
    adctl.invoke(app, ["db", "migrate"])
    shown = {}
    for command in COMMANDS:
        ended = adctl.invoke(app, [*command.split(), "--output", "json"])
        assert ended.exit_code == 0, (command, ended.output)
        shown[command] = ended.output
    assert "Spring" in shown["campaign list"]
    assert "bob" in shown["campaign history 2"]


@pytest.mark.parametrize("old", ["0003", "0007", "0017"], indirect=True)
def test_daemons_work_on_it_and_the_books_prove_clean(
    old: Old, adctl: CliRunner, start_daemon: Callable[..., DaemonProcess]
) -> None:
    migrate(old.url)
    daemons = [
        start_daemon(name, ADCTL_POSTGRES_URL=old.url)
        for name in ("pacer", "flusher", "consumer", "api")
    ]
    time.sleep(_WORKS_SEC)
    if old.began_at >= "0004":
        put_back = adctl.invoke(app, ["rejected", "retry", "--all"])
        assert put_back.exit_code == 0, put_back.output
    proved = adctl.invoke(app, ["budget", "prove", "--output", "json"])
    assert proved.exit_code == 0, proved.output
    for daemon in daemons:
        assert daemon.alive()
        address = f"http://127.0.0.1:{daemon.port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            told = answer.read().decode()
        failed = re.findall(r"^adctl_job_failures_total\{.*\} (?!0\.0)[0-9.]+$", told, re.MULTILINE)
        assert failed == [], (daemon.name, daemon.log.read_text())
    for daemon in daemons:
        daemon.stop()
